//! Pods, slimmed, and as members.

mod lens;

pub use lens::{Lens, Owners, Rival, to_member_view};

use crate::marked::Marked;
use crate::names;
use crate::wire::{Container, ContainerStatus, WirePod, unix_ms};
use hotstandby_core::ids::{Rv, Uid};
use hotstandby_core::view::Phase;
use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// What the kubelet gives as the reason of Ready=False where containers are the cause.
const CONTAINERS_NOT_READY: &str = "ContainersNotReady";
/// Sidecars that answer a TCP connect in the app's place, by container name.
const MESH_CONTAINERS: [(&str, &str); 5] = [
    ("istio-proxy", "istio"),
    ("linkerd-proxy", "linkerd"),
    ("kuma-sidecar", "kuma"),
    ("consul-dataplane", "consul"),
    ("osm-proxy", "osm"),
];
/// The same by annotation, for pods whose sidecar was renamed.
const MESH_ANNOTATIONS: [(&str, &str); 4] = [
    ("sidecar.istio.io/status", "istio"),
    ("linkerd.io/proxy-version", "linkerd"),
    ("kuma.io/sidecar-injected", "kuma"),
    ("consul.hashicorp.com/connect-inject-status", "consul"),
];

/// Labels, kept small: keys and values are shared among all pods that have them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Labels(Box<[(Arc<str>, Arc<str>)]>);

impl Labels {
    /// The value of a label.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.shared(key).map(|value| &**value)
    }

    /// The same, to be kept.
    pub(crate) fn shared(&self, key: &str) -> Option<&Arc<str>> {
        let at = self.0.binary_search_by(|(have, _)| (**have).cmp(key)).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    /// All labels.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = &(Arc<str>, Arc<str>)> {
        self.0.iter()
    }
}

/// Keeps one copy of what many pods have in common.
#[derive(Debug, Default)]
pub struct Interner {
    strings: Pool<str>,
    templates: Pool<Template>,
    labels: Pool<Labels>,
}

#[derive(Debug)]
struct Pool<T: ?Sized + Eq + Hash> {
    known: HashSet<Arc<T>>,
    /// The next size at which unused entries are looked for.
    sweep_at: usize,
}

impl<T: ?Sized + Eq + Hash> Default for Pool<T> {
    fn default() -> Self {
        Self { known: HashSet::new(), sweep_at: 1024 }
    }
}

impl<T: ?Sized + Eq + Hash> Pool<T> {
    fn add(&mut self, fresh: Arc<T>) -> Arc<T> {
        // Entries nobody else holds are dropped when the pool has doubled: amortised, without a timer.
        if self.known.len() >= self.sweep_at {
            self.known.retain(|entry| Arc::strong_count(entry) > 1);
            self.sweep_at = (self.known.len() * 2).max(1024);
        }
        self.known.insert(fresh.clone());
        fresh
    }
}

impl Interner {
    /// The shared copy of a text.
    pub fn text(&mut self, text: &str) -> Arc<str> {
        self.strings.known.get(text).cloned().unwrap_or_else(|| self.strings.add(text.into()))
    }

    /// The shared copy of labels.
    pub fn labels(&mut self, labels: Option<&BTreeMap<String, String>>) -> Arc<Labels> {
        let labels = self.own_labels(labels);
        self.labels.known.get(&labels).cloned().unwrap_or_else(|| self.labels.add(Arc::new(labels)))
    }

    fn own_labels(&mut self, labels: Option<&BTreeMap<String, String>>) -> Labels {
        let pairs = labels.into_iter().flatten();
        Labels(pairs.map(|(key, value)| (self.text(key), self.text(value))).collect())
    }

    fn template(&mut self, pod: &WirePod) -> Arc<Template> {
        let mut ports = BTreeMap::new();
        for port in pod.spec.containers.iter().flat_map(|container| &container.ports) {
            if let (Some(name), Ok(number)) = (&port.name, u16::try_from(port.container_port)) {
                ports.insert(self.text(name), number);
            }
        }
        let template = Template {
            labels: self.own_labels(pod.metadata.labels.as_ref()),
            owner: owner(pod, self),
            mesh: mesh(pod),
            ports,
        };
        let known = self.templates.known.get(&template).cloned();
        known.unwrap_or_else(|| self.templates.add(Arc::new(template)))
    }
}

/// What a pod's controller is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OwnerKind {
    /// A `ReplicaSet`.
    ReplicaSet,
    /// A `StatefulSet`.
    StatefulSet,
}

/// The end of one instance of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// `name/containerID`: names the instance.
    pub instance: Arc<str>,
    /// The container.
    pub container: Arc<str>,
    /// When, Unix milliseconds.
    pub finished_ms: Option<i64>,
    /// Its literal environment, by which it may be critical. Kept for ended containers only.
    pub env: Arc<[(Arc<str>, Arc<str>)]>,
}

/// What the pods of one owner have in common: kept once for all of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Template {
    /// All labels: selectors match on them.
    pub labels: Labels,
    /// Its controller, where that has revisions.
    pub owner: Option<(OwnerKind, Arc<str>)>,
    /// The mesh sidecar it carries.
    pub mesh: Option<&'static str>,
    /// Container ports by name.
    pub ports: BTreeMap<Arc<str>, u16>,
}

/// A UID in 16 bytes where it is a plain UUID, as it always is but in theory.
#[derive(Clone, Debug, PartialEq, Eq)]
enum SmallUid {
    Uuid([u8; 16]),
    Other(Box<str>),
}

impl SmallUid {
    fn new(text: &str) -> Self {
        parse_uuid(text).map_or_else(|| Self::Other(text.into()), Self::Uuid)
    }

    fn to_uid(&self) -> Uid {
        match self {
            Self::Uuid(bytes) => uuid_text(*bytes).into(),
            Self::Other(text) => (**text).into(),
        }
    }
}

fn uuid_text(bytes: [u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The bytes of a UUID, if writing them again gives the same text.
fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let digits = text.replace('-', "");
    let number = u128::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 32)?;
    let bytes = number.to_be_bytes();
    (uuid_text(bytes) == text).then_some(bytes)
}

/// A resourceVersion as the number it is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum SmallRv {
    Number(u64),
    Other(Box<str>),
}

impl SmallRv {
    fn new(text: &str) -> Self {
        let number = text.parse().ok().filter(|number: &u64| number.to_string() == text);
        number.map_or_else(|| Self::Other(text.into()), Self::Number)
    }

    fn to_rv(&self) -> Rv {
        match self {
            Self::Number(number) => number.to_string().into(),
            Self::Other(text) => (**text).into(),
        }
    }
}

/// Addresses; most pods have one of IPv4.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Ips {
    V4(Ipv4Addr),
    Other(Box<[IpAddr]>),
}

/// A pod with nothing but what is used of it, in as few bytes as go: a cluster has 150,000 of them.
#[derive(Clone, Debug, PartialEq)]
pub struct PodLite {
    /// Name.
    pub name: Arc<str>,
    uid: SmallUid,
    rv: SmallRv,
    ips: Ips,
    /// `spec.nodeName`.
    pub node: Option<Arc<str>>,
    /// What it has in common with others.
    pub template: Arc<Template>,
    /// When Ready last turned, and `status.startTime`, Unix milliseconds.
    times: Times,
    /// `hotstandby.dev/priority`.
    pub priority: i64,
    rare: Option<Arc<Rare>>,
    /// `status.phase`.
    pub phase: Phase,
    /// When it was made, in seconds since 1970; 0: not known.
    created: u32,
    /// The condition Ready.
    pub ready: bool,
    /// Whether that gives a reason.
    pub ready_said: bool,
    /// `metadata.deletionTimestamp` is set.
    pub terminating: bool,
}

/// What few pods have, behind one pointer.
#[derive(Debug, PartialEq)]
struct Rare {
    /// Containers that ended, now or before they were last started.
    ended: Vec<Ended>,
    /// The pod is not ready by these containers alone, which all ended.
    unready_by_end: Vec<Arc<str>>,
    /// Marks of a controller that leads its labels.
    marked: Option<Marked>,
}

impl Rare {
    fn of(pod: &WirePod, interner: &mut Interner) -> Option<Arc<Self>> {
        let (ended, marked) = (ended(pod, interner), Marked::read(&pod.metadata));
        let unready_by_end = unready_by_end(pod, &ended);
        (!ended.is_empty() || marked.is_some()).then(|| Arc::new(Self { ended, unready_by_end, marked }))
    }
}

/// Two times that may be missing, in the space of two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Times {
    ready_turned: i64,
    started: i64,
}

impl Times {
    const MISSING: i64 = i64::MIN;

    fn get(time: i64) -> Option<i64> {
        (time != Self::MISSING).then_some(time)
    }
}

impl PodLite {
    /// Slims a pod; `None` if it is no stored object.
    pub fn new(pod: &WirePod, interner: &mut Interner) -> Option<Self> {
        let (meta, spec, status) = (&pod.metadata, &pod.spec, &pod.status);
        let ready = status.conditions.iter().find(|condition| condition.kind == "Ready");
        let ready_turned = unix_ms(ready.and_then(|ready| ready.last_transition_time.as_ref()));
        Some(Self {
            name: meta.name.as_deref()?.into(),
            uid: SmallUid::new(meta.uid.as_deref()?),
            rv: SmallRv::new(meta.resource_version.as_deref()?),
            ips: addresses(pod),
            node: spec.node_name.as_deref().filter(|node| !node.is_empty()).map(|node| interner.text(node)),
            template: interner.template(pod),
            times: Times {
                ready_turned: ready_turned.unwrap_or(Times::MISSING),
                started: unix_ms(status.start_time.as_ref()).unwrap_or(Times::MISSING),
            },
            priority: priority(pod),
            rare: Rare::of(pod, interner),
            phase: phase(status.phase.as_deref()),
            created: created_seconds(pod),
            ready: ready.is_some_and(|ready| ready.status == "True"),
            ready_said: ready.is_none_or(|ready| ready.status == "True" || !ready.reason.is_empty()),
            terminating: meta.deletion_timestamp.is_some(),
        })
    }

    /// UID.
    pub fn uid(&self) -> Uid {
        self.uid.to_uid()
    }

    /// Whether it has this UID.
    pub fn is(&self, uid: &Uid) -> bool {
        self.uid == SmallUid::new(uid.as_str())
    }

    /// Whether this is certainly an older state of the same pod.
    pub(crate) fn is_older_than(&self, other: &Self) -> bool {
        self.uid == other.uid && self.rv.to_rv().is_older_than(&other.rv.to_rv())
    }

    /// Containers that ended.
    fn ended(&self) -> &[Ended] {
        self.rare.as_ref().map_or(&[], |rare| &rare.ended)
    }

    /// The containers by which alone it is not ready, all of them because they ended; empty: ready, or for another cause.
    fn unready_by_end(&self) -> &[Arc<str>] {
        self.rare.as_ref().map_or(&[], |rare| &rare.unready_by_end)
    }

    /// Marks of a controller that leads its labels.
    pub(crate) fn marked(&self) -> Option<&Marked> {
        self.rare.as_ref()?.marked.as_ref()
    }

    /// resourceVersion.
    pub(crate) fn rv(&self) -> Rv {
        self.rv.to_rv()
    }

    /// When it was made, Unix milliseconds in whole seconds.
    pub fn created_ms(&self) -> Option<i64> {
        (self.created > 0).then(|| i64::from(self.created) * 1000)
    }

    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.template.labels.get(key)
    }

    /// `status.podIPs`.
    pub fn ips(&self) -> Vec<IpAddr> {
        match &self.ips {
            Ips::V4(ip) => vec![IpAddr::V4(*ip)],
            Ips::Other(ips) => ips.to_vec(),
        }
    }
}

fn created_seconds(pod: &WirePod) -> u32 {
    let created = unix_ms(pod.metadata.creation_timestamp.as_ref());
    created.and_then(|created| u32::try_from(created.div_euclid(1000)).ok()).unwrap_or(0)
}

fn addresses(pod: &WirePod) -> Ips {
    let all = pod.status.pod_ips.iter().map(|entry| &entry.ip);
    // Servers before 1.16 know only the one; it is also all there is while `podIPs` is being filled.
    let one = pod.status.pod_ip.iter().filter(|_| pod.status.pod_ips.is_empty());
    let ips: Box<[IpAddr]> = all.chain(one).filter_map(|ip| ip.parse().ok()).collect();
    match &*ips {
        [IpAddr::V4(ip)] => Ips::V4(*ip),
        _ => Ips::Other(ips),
    }
}

fn phase(text: Option<&str>) -> Phase {
    match text {
        Some("Pending") => Phase::Pending,
        Some("Running") => Phase::Running,
        Some("Failed") => Phase::Failed,
        Some("Succeeded") => Phase::Succeeded,
        _ => Phase::Unknown,
    }
}

fn annotation<'a>(pod: &'a WirePod, key: &str) -> Option<&'a str> {
    pod.metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

/// A priority that is no number counts as none: the pod still takes part.
fn priority(pod: &WirePod) -> i64 {
    annotation(pod, names::PRIORITY).and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

fn owner(pod: &WirePod, interner: &mut Interner) -> Option<(OwnerKind, Arc<str>)> {
    let owner = pod
        .metadata
        .owner_references
        .iter()
        .flatten()
        .find(|owner| owner.controller == Some(true) && owner.api_version.starts_with("apps/"))?;
    let kind = match owner.kind.as_str() {
        "ReplicaSet" => OwnerKind::ReplicaSet,
        "StatefulSet" => OwnerKind::StatefulSet,
        _ => return None,
    };
    Some((kind, interner.text(&owner.name)))
}

pub(crate) fn mesh(pod: &WirePod) -> Option<&'static str> {
    let sidecars = pod.spec.init_containers.iter().filter(|init| is_sidecar(init));
    let by_container = pod.spec.containers.iter().chain(sidecars).find_map(|container| {
        MESH_CONTAINERS.iter().find(|(name, _)| *name == container.name).map(|(_, mesh)| *mesh)
    });
    by_container.or_else(|| {
        MESH_ANNOTATIONS.iter().find(|(key, _)| annotation(pod, key).is_some()).map(|(_, mesh)| *mesh)
    })
}

/// A native sidecar; other init containers end before the pod serves.
fn is_sidecar(init: &Container) -> bool {
    init.restart_policy.as_deref() == Some("Always")
}

/// The containers that ended, the newest instance of each.
///
/// Both the present state and the one before the last start are looked at: the kubelet restarts a container within
/// a second or two, and the end must not go unseen because of that. An end long ago stays visible as long as the
/// kubelet reports it; whether it is news is for the core to know, which keeps the instances it has seen.
fn ended(pod: &WirePod, interner: &mut Interner) -> Vec<Ended> {
    let (spec, status) = (&pod.spec, &pod.status);
    let main = status.container_statuses.iter().filter_map(|status| {
        Some((status, spec.containers.iter().find(|container| container.name == status.name)?))
    });
    let sidecars = status.init_container_statuses.iter().filter_map(|status| {
        let named = |init: &&Container| init.name == status.name && is_sidecar(init);
        Some((status, spec.init_containers.iter().find(named)?))
    });
    main.chain(sidecars).filter_map(|(status, container)| end_of(status, container, interner)).collect()
}

/// The containers that make a pod unready, if all of them ended and the kubelet names nothing else.
fn unready_by_end(pod: &WirePod, ended: &[Ended]) -> Vec<Arc<str>> {
    let condition = pod.status.conditions.iter().find(|condition| condition.kind == "Ready");
    if !condition.is_some_and(|ready| ready.status == "False" && ready.reason == CONTAINERS_NOT_READY) {
        return Vec::new();
    }
    let unready = pod.status.container_statuses.iter().filter(|status| !status.ready);
    let by_end = unready.map(|status| ended.iter().find(|end| *end.container == *status.name));
    by_end.map(|end| end.map(|end| end.container.clone())).collect::<Option<_>>().unwrap_or_default()
}

fn end_of(status: &ContainerStatus, container: &Container, interner: &mut Interner) -> Option<Ended> {
    let terminated = status.state.terminated.as_ref().or(status.last_state.terminated.as_ref())?;
    let id = terminated.container_id.as_deref().unwrap_or_default();
    let env = container
        .env
        .iter()
        .filter_map(|var| Some((interner.text(&var.name), interner.text(var.value.as_deref()?))));
    Some(Ended {
        env: env.collect(),
        instance: format!("{}/{id}", status.name).into(),
        container: interner.text(&status.name),
        finished_ms: unix_ms(terminated.finished_at.as_ref()),
    })
}

#[cfg(test)]
#[path = "pod_tests.rs"]
mod tests;
