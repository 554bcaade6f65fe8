//! What each slice should hold.
//!
//! Every way of leading traffic is a projection of the seat with the same three steps: what should stand
//! there ([`desired`]), whether it does, and one write with a precondition if not. Own slices are the first;
//! the selector pointer and role labels are further projections and will stand beside [`desired`] as functions of
//! the same inputs. A second address family needs no new code: see [`Family::PROJECTED`].

use crate::ids::Uid;
use crate::seat::SeatMarks;
use crate::view::{Endpoint, Family, MemberView, ServicePort, SliceContent, SlicePort, UsableService};

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
