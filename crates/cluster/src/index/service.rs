//! Services, slimmed, and as a group sees them.

use crate::slice;
use crate::wire::{self, WireService};
use hotstandby_core::ids::Uid;
use hotstandby_core::spec::PortRef;
use hotstandby_core::view::{Family, Protocol, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::sync::Arc;

/// A Service with nothing but what is used of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ServiceLite {
    pub(super) uid: Uid,
    pub(super) kind: ServiceKind,
}

/// What a Service is to us.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ServiceKind {
    /// Others feed it. Most Services are this, so nothing more is kept of them.
    HasSelector,
    /// It has no endpoints.
    ExternalName,
    /// One we may feed.
    Feedable(Box<Feedable>),
}

/// Families and ports.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Feedable {
    pub(super) families: Vec<Family>,
    pub(super) ports: Vec<ServicePort>,
}

impl ServiceLite {
    /// Slims a Service; `None` if it is no stored object.
    pub(super) fn new(service: &WireService) -> Option<Self> {
        let spec = &service.spec;
        let kind = if spec.kind.as_deref() == Some("ExternalName") {
            ServiceKind::ExternalName
        } else if !spec.selector.is_empty() {
            ServiceKind::HasSelector
        } else {
            ServiceKind::Feedable(Box::new(Feedable {
                families: spec.ip_families.iter().filter_map(|family| slice::family(family)).collect(),
                ports: spec.ports.iter().filter_map(port).collect(),
            }))
        };
        Some(Self { uid: service.metadata.uid.as_deref()?.into(), kind })
    }
}

fn port(port: &wire::ServicePort) -> Option<ServicePort> {
    let number = |number: i32| u16::try_from(number).ok().map(PortRef::Number);
    Some(ServicePort {
        name: port.name.as_deref().unwrap_or_default().into(),
        protocol: match port.protocol.as_deref() {
            None | Some("TCP") => Protocol::Tcp,
            Some("UDP") => Protocol::Udp,
            Some("SCTP") => Protocol::Sctp,
            Some(_) => return None,
        },
        target: match &port.target_port {
            Some(IntOrString::Int(target)) if *target != 0 => number(*target)?,
            Some(IntOrString::String(name)) if !name.is_empty() => PortRef::Name(name.as_str().into()),
            _ => number(port.port)?,
        },
        app_protocol: port.app_protocol.as_deref().map(Arc::from),
    })
}
