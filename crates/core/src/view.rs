//! The world as a group sees it: plain values, made by the shell from what it watched or read.

use crate::ids::{Rv, Term, Uid};
use crate::reason::Reason;
use crate::spec::PortRef;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// A pod's phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not all containers were started yet.
    Pending,
    /// Running.
    Running,
    /// All containers ended, at least one with failure.
    Failed,
    /// All containers ended well.
    Succeeded,
    /// The kubelet has not said.
    Unknown,
}

impl Phase {
    /// Failed or Succeeded: such a pod never serves again, and its address may be given to another.
    pub const fn is_finished(self) -> bool {
        matches!(self, Self::Failed | Self::Succeeded)
    }
}

/// One member of the group: a pod the selector picks, or the holder that it no longer picks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // four independent facts, not a state
pub struct MemberView {
    /// Pod name.
    pub name: Arc<str>,
    /// Pod UID.
    pub uid: Uid,
    /// Pod resourceVersion.
    pub rv: Rv,
    /// `status.podIPs`.
    pub ips: Vec<IpAddr>,
    /// `spec.nodeName`.
    pub node: Option<Arc<str>>,
    /// `status.phase`.
    pub phase: Phase,
    /// The pod condition Ready (never `containerStatuses[].ready`, which stays true on a dead node); where critical containers are
    /// named, also if it is False only because others ended.
    pub ready: bool,
    /// Whether that condition gives a reason. The kubelet always does where it says False; the node controller, which says it in
    /// the kubelet's place, leaves the reason as it was: empty, if the pod was ready before.
    pub ready_said: bool,
    /// When that condition last turned, Unix milliseconds by the cluster's clocks.
    pub ready_turned_ms: Option<i64>,
    /// `metadata.deletionTimestamp` is set.
    pub terminating: bool,
    /// Whether the group's selector still picks it.
    pub selected: bool,
    /// `metadata.creationTimestamp`, Unix milliseconds in whole seconds, by the API server's clock.
    pub created_ms: Option<i64>,
    /// `status.startTime`, Unix milliseconds.
    pub started_ms: Option<i64>,
    /// `hotstandby.dev/priority`, 0 where absent.
    pub priority: i64,
    /// Rank of its revision among its owner's: higher is newer.
    pub revision: u64,
    /// Id of a critical container's instance that terminated, with the container's name.
    pub critical_terminated: Option<Arc<str>>,
    /// The mesh sidecar it carries, if a known one.
    pub mesh: Option<&'static str>,
    /// Container ports by name.
    pub named_ports: BTreeMap<Arc<str>, u16>,
    /// Those of its labels that the group leads, see [`crate::labels::led_keys`].
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    /// What our marks on it say, if there are any.
    pub mark: Option<Mark>,
    /// A `StatefulSet` owns it: its name comes back, so it is never deleted without grace.
    pub stateful: bool,
}

/// Marks of hotstandby on an object of others: a pod or a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Whose they are.
    pub controller: Arc<str>,
    /// Seat UID and term in it, if readable.
    pub stamp: Option<(Uid, Term)>,
    /// What undoes our changes: label or selector key, and the value to put back (`None`: it is removed).
    pub undo: BTreeMap<Arc<str>, Option<Arc<str>>>,
}

impl MemberView {
    /// Resolves a port in this pod.
    pub fn port(&self, port: &PortRef) -> Option<u16> {
        match port {
            PortRef::Number(number) => Some(*number),
            PortRef::Name(name) => self.named_ports.get(name).copied(),
        }
    }

    /// Its address of this family.
    pub fn ip(&self, family: Family) -> Option<IpAddr> {
        self.ips.iter().copied().find(|ip| Family::of(ip) == family)
    }

    /// Whether the address may still be the pod's own: the object exists, has not finished.
    pub fn owns_address(&self) -> bool {
        !self.phase.is_finished() && !self.ips.is_empty()
    }
}

/// An address family.
///
/// Slices hold one family each, so a dual-stack Service gets two slices, written together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6: known everywhere in this crate; not yet among [`Family::PROJECTED`].
    Ipv6,
}

impl Family {
    /// The families for which slices are written. A second family joins here, and only here.
    pub const PROJECTED: [Self; 1] = [Self::Ipv4];

    /// The family of an address.
    pub const fn of(ip: &IpAddr) -> Self {
        match ip {
            IpAddr::V4(_) => Self::Ipv4,
            IpAddr::V6(_) => Self::Ipv6,
        }
    }

    /// The part of a slice's name.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        }
    }
}

/// A node, as far as decisions need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// The Ready condition is True, since this Unix millisecond.
    Ready {
        /// When the condition last turned.
        since_ms: Option<i64>,
    },
    /// The Ready condition is False: its kubelet says so.
    NotReady,
    /// The Ready condition is Unknown: nobody heard of it.
    Unknown,
    /// Tainted `node.kubernetes.io/out-of-service`: somebody vouches that it is off.
    OutOfService,
    /// There is no such node object.
    Gone,
}

/// The nodes of a group's members.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct NodesView {
    /// State by node name; a name that is missing was not read yet.
    pub nodes: BTreeMap<Arc<str>, NodeState>,
    /// Names of nodes whose labels the group prefers.
    pub preferred: Vec<Arc<str>>,
    /// More than half of all nodes turned within a minute: the control plane is ill, not the nodes.
    pub control_plane_ill: bool,
}

/// A protocol of a Service port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// Its name; empty where it is the only one.
    pub name: Arc<str>,
    /// Its protocol.
    pub protocol: Protocol,
    /// Where it leads in the pod.
    pub target: PortRef,
    /// `appProtocol`.
    pub app_protocol: Option<Arc<str>>,
}

/// A Service the group names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceView {
    /// Its name.
    pub name: Arc<str>,
    /// What was found under the name.
    pub found: ServiceFound,
}

/// What stands behind a Service name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceFound {
    /// Nothing.
    Missing,
    /// A Service with a selector: Kubernetes feeds it, so it is led by what it selects.
    Selecting(Box<SelectingService>),
    /// An ExternalName Service: it has no endpoints at all.
    ExternalName,
    /// Another, older group names it too.
    ClaimedBy(Arc<str>),
    /// One we may feed.
    Usable(Box<UsableService>),
}

impl ServiceFound {
    /// The Service, if we may feed it.
    pub fn usable(&self) -> Option<&UsableService> {
        match self {
            Self::Usable(usable) => Some(usable),
            Self::Missing | Self::Selecting(_) | Self::ExternalName | Self::ClaimedBy(_) => None,
        }
    }

    /// Its ports.
    pub fn ports(&self) -> &[ServicePort] {
        match self {
            Self::Usable(usable) => &usable.ports,
            Self::Selecting(selecting) => &selecting.ports,
            Self::Missing | Self::ExternalName | Self::ClaimedBy(_) => &[],
        }
    }

    /// The Service, if Kubernetes feeds it by its selector.
    pub fn selecting(&self) -> Option<&SelectingService> {
        match self {
            Self::Selecting(selecting) => Some(selecting),
            Self::Missing | Self::Usable(_) | Self::ExternalName | Self::ClaimedBy(_) => None,
        }
    }
}

/// A Service with a selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectingService {
    /// Its UID.
    pub uid: Uid,
    /// Its resourceVersion.
    pub rv: Rv,
    /// Its ports.
    pub ports: Vec<ServicePort>,
    /// Its selector, ours and the user's keys together.
    pub selector: BTreeMap<Arc<str>, Arc<str>>,
    /// What our marks on it say, if there are any.
    pub mark: Option<Mark>,
}

/// A selector-less Service and the slices that feed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsableService {
    /// Its UID.
    pub uid: Uid,
    /// Its families.
    pub families: Vec<Family>,
    /// Its ports.
    pub ports: Vec<ServicePort>,
    /// Our slices, by family.
    pub own: BTreeMap<Family, SliceView>,
    /// Names of slices that are not ours: users see the union.
    pub foreign: Vec<Arc<str>>,
}

/// A slice under our name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SliceView {
    /// Object name.
    pub name: Arc<str>,
    /// UID.
    pub uid: Uid,
    /// resourceVersion.
    pub rv: Rv,
    /// The controller mark, if there is one.
    pub controller: Option<Arc<str>>,
    /// Seat UID and term in its marks, if readable.
    pub stamp: Option<(Uid, Term)>,
    /// The content, if it is exactly of the form we write; else somebody edited it.
    pub content: Option<SliceContent>,
}

/// The whole content of a slice of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SliceContent {
    /// The one endpoint, or none.
    pub endpoint: Option<Endpoint>,
    /// The ports, resolved for that pod.
    pub ports: Vec<SlicePort>,
    /// The seat it follows.
    pub seat_uid: Uid,
    /// The seat's term.
    pub term: Term,
    /// Why the holder is active.
    pub reason: Reason,
    /// Since when, Unix milliseconds.
    pub since_ms: i64,
    /// UID of the group.
    pub group_uid: Uid,
    /// Noted on the object, so that a sweep knows it when the group is gone.
    pub orphan: bool,
}

/// The active pod as an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its address.
    pub ip: IpAddr,
    /// Pod name.
    pub pod: Arc<str>,
    /// Pod UID.
    pub uid: Uid,
    /// Node name.
    pub node: Option<Arc<str>>,
}

/// A resolved port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlicePort {
    /// The Service port's name.
    pub name: Arc<str>,
    /// Its protocol.
    pub protocol: Protocol,
    /// The number in the pod.
    pub port: u16,
    /// `appProtocol`.
    pub app_protocol: Option<Arc<str>>,
}
