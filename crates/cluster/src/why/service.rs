//! A group that an annotated Service makes: it has no status, so its marks, its endpoints and its Events tell.

use super::{Why, meaning, sort, told};
use crate::api::status::ActivePod;
use crate::names;
use crate::objects::{Unread, annotation, label, name_of};
use hotstandby_core::reason::Reason;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;

/// What marks, endpoints and Events of a Service tell.
pub(super) fn why(
    service: &Service,
    slices: Result<Vec<EndpointSlice>, Unread>,
    events: Result<Vec<Event>, Unread>,
) -> Why {
    let mut lacking = vec![
        "a group that a Service makes by its annotation keeps no history: its Events are all there is, for an hour by default"
            .to_owned(),
    ];
    let mut read =
        |unread: Unread| lacking.push(format!("{} were not looked at: {}", unread.what, unread.why));
    let events = events.map_err(&mut read).unwrap_or_default();
    let slices = slices.map_err(&mut read).unwrap_or_default();
    let name = name_of(&service.metadata);
    let own: Vec<_> = slices
        .iter()
        .filter(|slice| label(&slice.metadata, names::SERVICE_NAME_LABEL) == Some(name))
        .collect();
    // The marks are on the Service where its selector is written, else on the slice.
    let metas = std::iter::once(&service.metadata).chain(own.iter().map(|slice| &slice.metadata));
    let marked = metas.clone().find(|meta| annotation(meta, names::TERM).is_some());
    let mark = |key: &str| marked.and_then(|meta| annotation(meta, key)).map(str::to_owned);
    let reason = mark(names::REASON);
    let mut timeline: Vec<_> = events
        .iter()
        .filter(|event| {
            event.involved_object.uid.is_none() || event.involved_object.uid == service.metadata.uid
        })
        .map(told)
        .collect();
    sort(&mut timeline);
    Why {
        namespace: service.metadata.namespace.clone().unwrap_or_default(),
        name: format!("service/{name}"),
        active: served(&own),
        term: mark(names::TERM).and_then(|term| term.parse().ok()),
        since: mark(names::SINCE).and_then(|since| since.parse::<Timestamp>().ok()),
        meaning: reason.as_deref().and_then(Reason::parse).map(meaning),
        reason,
        not_well: Vec::new(),
        members: Vec::new(),
        timeline,
        lacking,
    }
}

/// The one pod that the slices lead to; of several none is the active.
fn served(slices: &[&EndpointSlice]) -> Option<ActivePod> {
    let ready = |endpoint: &&k8s_openapi::api::discovery::v1::Endpoint| {
        endpoint.conditions.as_ref().and_then(|conditions| conditions.ready) != Some(false)
    };
    let mut pods: Vec<ActivePod> = slices
        .iter()
        .flat_map(|slice| slice.endpoints.iter().filter(ready))
        .filter_map(|endpoint| {
            let target = endpoint.target_ref.as_ref()?;
            Some(ActivePod {
                pod: target.name.clone()?,
                uid: target.uid.clone().unwrap_or_default(),
                ip: endpoint.addresses.first().cloned(),
                node: endpoint.node_name.clone(),
            })
        })
        .collect();
    pods.dedup_by(|one, other| one.uid == other.uid);
    let one = pods.pop();
    one.filter(|_| pods.is_empty())
}
