//! Services, slimmed, and as a group sees them.

use super::annotated::OptIn;
use crate::marked::Marked;
use crate::marks::GroupMarks;
use crate::pod::{Interner, Labels};
use crate::slice;
use crate::wire::{self, WireService};
use hotstandby_core::ids::{Rv, Uid};
use hotstandby_core::spec::PortRef;
use hotstandby_core::view::{Family, Protocol, SelectingService, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::sync::Arc;

/// A Service with nothing but what is used of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ServiceLite {
    pub(super) uid: Uid,
    pub(super) rv: Rv,
    pub(super) kind: ServiceKind,
    /// Marks of a controller that leads its selector; mostly none.
    pub(super) marked: Option<Box<Marked>>,
    /// What its annotations ask for; mostly nothing.
    pub(super) opted: Option<Box<OptIn>>,
}

/// What a Service is to us.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ServiceKind {
    /// Kubernetes feeds it, with the pods it selects. Most Services are this.
    Selecting(Box<Selecting>),
    /// It has no endpoints.
    ExternalName,
    /// One we may feed.
    Feedable(Box<Feedable>),
}

/// Selector and ports.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Selecting {
    selector: Arc<Labels>,
    ports: Vec<ServicePort>,
}

/// Families and ports.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Feedable {
    pub(super) families: Vec<Family>,
    pub(super) ports: Vec<ServicePort>,
}

impl ServiceLite {
    /// Slims a Service; `None` if it is no stored object.
    pub(super) fn new(service: &WireService, interner: &mut Interner) -> Option<Self> {
        let (meta, spec) = (&service.metadata, &service.spec);
        let ports = || spec.ports.iter().filter_map(port).collect();
        let kind = if spec.kind.as_deref() == Some("ExternalName") {
            ServiceKind::ExternalName
        } else if spec.selector.is_empty() {
            ServiceKind::Feedable(Box::new(Feedable {
                families: spec.ip_families.iter().filter_map(|family| slice::family(family)).collect(),
                ports: ports(),
            }))
        } else {
            let selector = interner.labels(Some(&spec.selector));
            ServiceKind::Selecting(Box::new(Selecting { selector, ports: ports() }))
        };
        Some(Self {
            uid: meta.uid.as_deref()?.into(),
            rv: meta.resource_version.as_deref()?.into(),
            kind,
            marked: Marked::read(meta).map(Box::new),
            opted: OptIn::of(service).map(Box::new),
        })
    }

    /// Whose marks it carries.
    pub(super) fn group_marks(&self) -> Option<&GroupMarks> {
        self.marked.as_ref()?.group.as_ref()
    }

    /// The Service as the core sees it, if it has a selector.
    pub(super) fn selecting(&self) -> Option<SelectingService> {
        let ServiceKind::Selecting(selecting) = &self.kind else { return None };
        Some(SelectingService {
            uid: self.uid.clone(),
            rv: self.rv.clone(),
            ports: selecting.ports.clone(),
            selector: selecting.selector.pairs().cloned().collect(),
            mark: self.marked.as_ref().map(|marked| marked.mark.clone()),
        })
    }
}

/// A Service with a selector as the core sees it; `None` if it has none, or is no stored object.
pub(crate) fn selecting_service(service: &WireService) -> Option<SelectingService> {
    ServiceLite::new(service, &mut Interner::default())?.selecting()
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
