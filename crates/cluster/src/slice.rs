//! Our EndpointSlices: one per Service and family, with the active pod as its one endpoint.
//!
//! Reading is strict: what is not exactly of the form we write counts as edited and will be put right. A stray
//! second endpoint or condition would mislead traffic as surely as a wrong address.

use crate::call::{Verb, with_deadline};
use crate::extras::Extras;
use crate::marked::stamp;
use crate::marks::{self, GroupMarks, is_our_annotation};
use crate::names;
use crate::seat::{FIELD_MANAGER, delete_exactly};
use hotstandby_core::action::Precondition;
use hotstandby_core::ids::{GroupKey, Rv, Term, Uid};
use hotstandby_core::observation::WriteError;
use hotstandby_core::reason::Reason;
use hotstandby_core::view::{Endpoint, Family, Protocol, SliceContent, SlicePort, SliceView};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::discovery::v1::{self as api, EndpointConditions, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::PostParams;
use kube::{Api, Client};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Labels with which kube-proxy passes a slice by: traffic would be lost, so they count as an edit.
const BLINDING_LABELS: [&str; 2] =
    ["service.kubernetes.io/headless", "service.kubernetes.io/service-proxy-name"];

/// The name of our slice for a Service and family.
pub fn slice_name(service: &str, family: Family) -> String {
    marks::object_name(format!("{service}-hotstandby-{}", family.suffix()))
}

/// A slice, any slice, as far as it is looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct SliceLite {
    /// Object name.
    pub name: Arc<str>,
    /// UID.
    pub uid: Uid,
    /// resourceVersion.
    pub rv: Rv,
    /// The Service it feeds.
    pub service: Option<Arc<str>>,
    /// What only matters where the slice claims to be of our kind.
    pub own: Option<Box<OwnSlice>>,
}

/// A slice with our managed-by label.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnSlice {
    /// The controller mark.
    pub controller: Option<Arc<str>>,
    /// Seat UID and term in its marks.
    pub stamp: Option<(Uid, Term)>,
    /// Whose it is.
    pub group: Option<GroupMarks>,
    /// UID of the Service that owns it.
    pub owner: Option<Uid>,
    /// Its content, if of our form.
    pub content: Option<SliceContent>,
    /// What others put on it.
    pub extras: Extras,
}

impl SliceLite {
    /// Slims a slice; `None` if it is no stored object.
    pub fn new(slice: &EndpointSlice) -> Option<Self> {
        let meta = &slice.metadata;
        let managed_by = label(meta, names::MANAGED_BY_LABEL);
        let own = (managed_by == Some(names::GROUP)).then(|| Box::new(OwnSlice::new(slice)));
        Some(Self {
            name: meta.name.as_deref()?.into(),
            uid: meta.uid.as_deref()?.into(),
            rv: meta.resource_version.as_deref()?.into(),
            service: label(meta, names::SERVICE_NAME_LABEL).map(Into::into),
            own,
        })
    }

    /// The view of a slice under our name, for the Service with this UID.
    ///
    /// A slice that another incarnation of the Service owns will be collected with it, so it counts as edited.
    pub fn view(&self, service_uid: &Uid) -> SliceView {
        let own = self.own.as_deref();
        let content =
            own.filter(|own| own.owner.as_ref() == Some(service_uid)).and_then(|own| own.content.clone());
        SliceView {
            name: self.name.clone(),
            uid: self.uid.clone(),
            rv: self.rv.clone(),
            controller: own.and_then(|own| own.controller.clone()),
            stamp: own.and_then(|own| own.stamp.clone()),
            content,
        }
    }
}

impl OwnSlice {
    fn new(slice: &EndpointSlice) -> Self {
        let empty = BTreeMap::new();
        let annotations = slice.metadata.annotations.as_ref().unwrap_or(&empty);
        let our_label = |key: &str| {
            key == names::MANAGED_BY_LABEL
                || key == names::SERVICE_NAME_LABEL
                || BLINDING_LABELS.contains(&key)
        };
        Self {
            controller: annotations.get(names::CONTROLLER).map(|name| name.as_str().into()),
            stamp: stamp(annotations),
            group: GroupMarks::read(annotations),
            owner: owner(&slice.metadata).map(|owner| owner.uid.as_str().into()),
            content: content(slice, annotations),
            extras: Extras::of(&slice.metadata, our_label, is_our_annotation, is_service),
        }
    }
}

fn label<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    meta.labels.as_ref()?.get(key).map(String::as_str)
}

fn is_service(owner: &OwnerReference) -> bool {
    owner.kind == "Service" && owner.api_version == "v1"
}

/// The one Service among the owners; `None` where there are two, since one of them is not ours.
fn owner(meta: &ObjectMeta) -> Option<&OwnerReference> {
    let mut services = meta.owner_references.iter().flatten().filter(|owner| is_service(owner));
    services.next().filter(|_| services.next().is_none())
}

/// The content, if the slice is exactly what we would write for it.
fn content(slice: &EndpointSlice, annotations: &BTreeMap<String, String>) -> Option<SliceContent> {
    let meta = &slice.metadata;
    let service = label(meta, names::SERVICE_NAME_LABEL)?;
    let family = family(&slice.address_type)?;
    let owner = owner(meta)?;
    let named_right = meta.name.as_deref() == Some(&*slice_name(service, family));
    let seen = BLINDING_LABELS.iter().all(|key| label(meta, key).is_none());
    if !named_right || !seen || owner.name != service {
        return None;
    }
    let group = GroupMarks::read(annotations)?;
    let (seat_uid, term) = stamp(annotations)?;
    let found = SliceContent {
        endpoint: match slice.endpoints.as_slice() {
            [] => None,
            [one] => Some(endpoint(one)?),
            _ => return None,
        },
        ports: slice.ports.iter().flatten().map(port).collect::<Option<_>>()?,
        seat_uid,
        term,
        reason: Reason::parse(annotations.get(names::REASON)?)?,
        since_ms: marks::parse_millis(annotations.get(names::SINCE)?)?,
        group_uid: group.group_uid,
        orphan: group.orphan,
    };
    let namespace = meta.namespace.as_deref().unwrap_or_default();
    let fits = found.endpoint.as_ref().is_none_or(|endpoint| Family::of(&endpoint.ip) == family);
    // Built anew and compared: a condition, hint, zone or second address of somebody else's shows here.
    (fits && endpoints(&found, namespace) == slice.endpoints).then_some(found)
}

fn endpoint(found: &api::Endpoint) -> Option<Endpoint> {
    let target = found.target_ref.as_ref()?;
    let [address] = found.addresses.as_slice() else { return None };
    Some(Endpoint {
        ip: address.parse().ok()?,
        pod: target.name.as_deref()?.into(),
        uid: target.uid.as_deref()?.into(),
        node: found.node_name.as_deref().map(Into::into),
    })
}

fn port(found: &api::EndpointPort) -> Option<SlicePort> {
    Some(SlicePort {
        name: found.name.as_deref().unwrap_or_default().into(),
        protocol: match found.protocol.as_deref() {
            None | Some("TCP") => Protocol::Tcp,
            Some("UDP") => Protocol::Udp,
            Some("SCTP") => Protocol::Sctp,
            Some(_) => return None,
        },
        port: u16::try_from(found.port?).ok()?,
        app_protocol: found.app_protocol.as_deref().map(Into::into),
    })
}

/// The family of an address type.
pub(crate) fn family(address_type: &str) -> Option<Family> {
    match address_type {
        "IPv4" => Some(Family::Ipv4),
        "IPv6" => Some(Family::Ipv6),
        _ => None,
    }
}

const fn address_type(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "IPv4",
        Family::Ipv6 => "IPv6",
    }
}

/// The text of a protocol.
const fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
        Protocol::Sctp => "SCTP",
    }
}

/// The endpoints of a content: being listed is our verdict, so always ready and never terminating.
fn endpoints(content: &SliceContent, namespace: &str) -> Vec<api::Endpoint> {
    let Some(active) = &content.endpoint else { return Vec::new() };
    vec![api::Endpoint {
        addresses: vec![active.ip.to_string()],
        conditions: Some(EndpointConditions {
            ready: Some(true),
            serving: Some(true),
            terminating: Some(false),
        }),
        node_name: active.node.as_deref().map(str::to_owned),
        target_ref: Some(ObjectReference {
            kind: Some("Pod".to_owned()),
            namespace: Some(namespace.to_owned()),
            name: Some(active.pod.to_string()),
            uid: Some(active.uid.to_string()),
            ..ObjectReference::default()
        }),
        ..api::Endpoint::default()
    }]
}

/// Where a slice belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SliceTarget {
    /// The group; its namespace is the slice's.
    pub group: GroupKey,
    /// The Service.
    pub service: Arc<str>,
    /// Its UID.
    pub service_uid: Uid,
    /// The family.
    pub family: Family,
}

/// Writes the slices of one install.
#[derive(Clone)]
pub struct SliceStore {
    client: Client,
    controller: Arc<str>,
}

impl SliceStore {
    /// A store that marks what it writes with `controller`.
    pub fn new(client: Client, controller: Arc<str>) -> Self {
        Self { client, controller }
    }

    /// Writes a slice, if it is still as `precondition` says, and returns it as stored.
    ///
    /// `extras` are what others put on it, from [`crate::index::Index::slice_extras`].
    pub async fn write(
        &self,
        target: &SliceTarget,
        precondition: &Precondition,
        content: &SliceContent,
        extras: Extras,
    ) -> Result<SliceView, WriteError> {
        let slices: Api<EndpointSlice> = Api::namespaced(self.client.clone(), &target.group.namespace);
        let mut slice = slice(target, &self.controller, content, extras)?;
        let name = slice_name(&target.service, target.family);
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let what = format!("write slice {}/{name}", target.group.namespace);
        let stored = match precondition {
            Precondition::Absent => {
                with_deadline(Verb::Create, &what, slices.create(&params, &slice)).await?
            }
            Precondition::Unchanged { uid, rv } => {
                slice.metadata.uid = Some(uid.to_string());
                slice.metadata.resource_version = Some(rv.to_string());
                with_deadline(Verb::Change, &what, slices.replace(&name, &params, &slice)).await?
            }
        };
        let lite = SliceLite::new(&stored)
            .ok_or_else(|| WriteError::Unknown(format!("{what}: the answer has no UID").into()))?;
        let view = lite.view(&target.service_uid);
        // A 200 is no proof: a webhook may have changed it on its way.
        if view.content.as_ref() == Some(content) && view.controller == Some(self.controller.clone()) {
            return Ok(view);
        }
        let text =
            format!("{what}: stored otherwise than sent; look for a mutating webhook on EndpointSlices");
        Err(WriteError::Refused(text.into()))
    }

    /// Reads a slice of ours as it is stored now; `None`: there is none.
    pub async fn read(&self, target: &SliceTarget) -> Result<Option<SliceView>, WriteError> {
        let slices: Api<EndpointSlice> = Api::namespaced(self.client.clone(), &target.group.namespace);
        let name = slice_name(&target.service, target.family);
        let what = format!("read slice {}/{name}", target.group.namespace);
        let stored = with_deadline(Verb::Read, &what, slices.get_opt(&name)).await?;
        Ok(stored.as_ref().and_then(SliceLite::new).map(|lite| lite.view(&target.service_uid)))
    }

    /// Deletes a slice that is exactly this one. Gone already is as good.
    pub async fn delete(&self, namespace: &str, name: &str, uid: &Uid, rv: &Rv) -> Result<(), WriteError> {
        let slices: Api<EndpointSlice> = Api::namespaced(self.client.clone(), namespace);
        delete_exactly(&slices, name, uid, rv).await
    }
}

/// The EndpointSlice that says `content`.
fn slice(
    target: &SliceTarget,
    controller: &str,
    content: &SliceContent,
    extras: Extras,
) -> Result<EndpointSlice, WriteError> {
    let name = slice_name(&target.service, target.family);
    let bad = |what: &str| WriteError::Refused(format!("write slice {name}: {what}").into());
    if content.endpoint.as_ref().is_some_and(|endpoint| Family::of(&endpoint.ip) != target.family) {
        return Err(bad("the address is of another family"));
    }
    let since = marks::millis_text(content.since_ms).ok_or_else(|| bad("the clock is out of range"))?;
    let group = GroupMarks {
        group: target.group.clone(),
        group_uid: content.group_uid.clone(),
        orphan: content.orphan,
    };
    let mut annotations = BTreeMap::new();
    group.write(&mut annotations);
    for (mark, text) in [
        (names::CONTROLLER, controller.to_owned()),
        (names::SEAT_UID, content.seat_uid.to_string()),
        (names::TERM, content.term.to_string()),
        (names::REASON, content.reason.as_str().to_owned()),
        (names::SINCE, since),
    ] {
        annotations.insert(mark.to_owned(), text);
    }
    let labels = BTreeMap::from([
        (names::MANAGED_BY_LABEL.to_owned(), names::GROUP.to_owned()),
        (names::SERVICE_NAME_LABEL.to_owned(), target.service.to_string()),
    ]);
    // Without blockOwnerDeletion: that would need a right on the Service's finalizers.
    let owner = OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Service".to_owned(),
        name: target.service.to_string(),
        uid: target.service_uid.to_string(),
        ..OwnerReference::default()
    };
    let mut metadata = ObjectMeta {
        name: Some(name),
        namespace: Some(target.group.namespace.to_string()),
        labels: Some(labels),
        annotations: Some(annotations),
        owner_references: Some(vec![owner]),
        ..ObjectMeta::default()
    };
    extras.add_to(&mut metadata);
    Ok(EndpointSlice {
        address_type: address_type(target.family).to_owned(),
        endpoints: endpoints(content, &target.group.namespace),
        ports: Some(content.ports.iter().map(endpoint_port).collect()),
        metadata,
    })
}

fn endpoint_port(port: &SlicePort) -> api::EndpointPort {
    api::EndpointPort {
        name: Some(port.name.to_string()),
        protocol: Some(protocol(port.protocol).to_owned()),
        port: Some(i32::from(port.port)),
        app_protocol: port.app_protocol.as_deref().map(str::to_owned),
    }
}

#[cfg(test)]
#[path = "slice_tests.rs"]
mod tests;
