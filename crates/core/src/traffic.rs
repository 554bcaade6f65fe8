//! How each Service is led, and what each slice should hold.
//!
//! Every way of leading traffic is a projection of the seat with the same three steps: what should stand
//! there, whether it does, and one write with a precondition if not. Own slices are one (`group::slices`, by
//! [`desired`]); the others are the selector pointer (`group::pointer`) and role labels (`group::labels`). A second
//! address family needs no new code: see [`Family::PROJECTED`].

use crate::ids::Uid;
use crate::seat::SeatMarks;
use crate::spec::{GroupSpec, RoleLabel};
use crate::view::{
    Endpoint, Family, MemberView, ServiceFound, ServicePort, ServiceView, SliceContent, SlicePort,
    UsableService,
};

/// How a Service is led to the holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Led {
    /// By slices of our own: it has no selector.
    Slices,
    /// By its selector, which names the holder.
    Pointer,
    /// By the role label, which its selector asks for.
    RoleLabel,
    /// Not at all: it is not there, or not to be led by this group.
    Not,
}

/// How this group leads a Service.
pub fn led(spec: &GroupSpec, service: &ServiceView) -> Led {
    let pointed = spec.pointed.contains(&service.name);
    match &service.found {
        ServiceFound::Usable(_) if !pointed => Led::Slices,
        ServiceFound::Selecting(_) if pointed => Led::Pointer,
        ServiceFound::Selecting(selecting) => {
            let asks = |role: &&RoleLabel| selecting.selector.get(&role.key) == Some(&role.active);
            spec.role_label.as_ref().filter(asks).map_or(Led::Not, |_| Led::RoleLabel)
        }
        ServiceFound::Usable(_)
        | ServiceFound::Missing
        | ServiceFound::ExternalName
        | ServiceFound::ClaimedBy(_) => Led::Not,
    }
}

/// The content of the slice of this Service and family while `served` is what users shall reach.
pub fn desired(
    service: &UsableService,
    family: Family,
    served: Option<&MemberView>,
    seat_uid: &Uid,
    marks: &SeatMarks,
    orphan: bool,
) -> SliceContent {
    let endpoint = served.and_then(|member| {
        Some(Endpoint {
            ip: member.ip(family)?,
            pod: member.name.clone(),
            uid: member.uid.clone(),
            node: member.node.clone(),
        })
    });
    let ports = match (&endpoint, served) {
        (Some(_), Some(member)) => service.ports.iter().filter_map(|port| resolve(port, member)).collect(),
        _ => Vec::new(),
    };
    SliceContent {
        endpoint,
        ports,
        seat_uid: seat_uid.clone(),
        term: marks.term,
        reason: marks.reason,
        since_ms: marks.since_ms,
        group_uid: marks.group_uid.clone(),
        orphan,
    }
}

/// Resolves a Service port for one pod: a named target may have another number in each.
fn resolve(port: &ServicePort, member: &MemberView) -> Option<SlicePort> {
    Some(SlicePort {
        name: port.name.clone(),
        protocol: port.protocol,
        port: member.port(&port.target)?,
        app_protocol: port.app_protocol.clone(),
    })
}

/// Names of Service ports that this pod does not have.
pub fn unresolved<'a>(service: &'a UsableService, member: &MemberView) -> Vec<&'a ServicePort> {
    service.ports.iter().filter(|port| member.port(&port.target).is_none()).collect()
}
