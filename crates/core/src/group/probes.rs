//! What to probe, and when to probe out of turn.

use super::{Group, assess};
use crate::action::{Action, ProbeTarget, WireProbe};
use crate::ids::Uid;
use crate::spec::{Electors, GroupSpec, PortRef, ProbeKind, TripwireMode};
use crate::view::{Family, MemberView, Phase, Protocol};
use std::time::Duration;

/// Why a member is not probed although the group's members are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoProbe {
    /// No probe was named and no Service leads to a TCP port.
    NoTcpPort,
    /// A mesh sidecar would answer in the app's place.
    Mesh(&'static str),
    /// The probe names a port that the pod does not have.
    UnknownPort,
    /// It has no address, or does not run.
    NotRunning,
    /// The pods elect, and it does not hold the Lease: its command does not run, so that nothing could answer.
    Waiting,
}

/// How this member is probed.
pub(super) fn target(group: &Group, spec: &GroupSpec, member: &MemberView) -> Result<ProbeTarget, NoProbe> {
    let (port, wire) = match &spec.probe {
        ProbeKind::DefaultTcp => {
            let port = default_port(group).ok_or(NoProbe::NoTcpPort)?;
            if let Some(mesh) = member.mesh {
                return Err(NoProbe::Mesh(mesh));
            }
            (port, WireProbe::Tcp)
        }
        ProbeKind::Tcp(port) => (port.clone(), WireProbe::Tcp),
        ProbeKind::Http { port, path, tls, host, status } => {
            let (path, host) = (path.clone(), host.clone());
            (port.clone(), WireProbe::Http { path, tls: *tls, host, status: *status })
        }
    };
    let port = member.port(&port).ok_or(NoProbe::UnknownPort)?;
    let ip = Family::PROJECTED.iter().find_map(|family| member.ip(*family)).ok_or(NoProbe::NotRunning)?;
    if member.phase != Phase::Running || !member.selected {
        return Err(NoProbe::NotRunning);
    }
    let holds_seat = group.holder_uid() == Some(&member.uid);
    if !holds_seat && group.follows().is_some_and(|follow| follow.by == Electors::Pods) {
        return Err(NoProbe::Waiting);
    }
    let wired = spec.tripwire == TripwireMode::Auto && member.mesh.is_none() && !member.terminating;
    Ok(ProbeTarget {
        uid: member.uid.clone(),
        ip,
        port,
        node: member.node.clone(),
        wire,
        period: spec.timing.period,
        timeout: spec.timing.timeout,
        // Where others elect, nothing follows from it.
        tripwire: group.lead && holds_seat && wired && group.follows().is_none(),
    })
}

fn default_port(group: &Group) -> Option<PortRef> {
    group
        .services
        .iter()
        .flatten()
        .flat_map(|service| service.found.ports())
        .find(|port| port.protocol == Protocol::Tcp)
        .map(|port| port.target.clone())
}

/// Failures of a member that is not probed any more would stand for ever.
pub(super) fn forget_unprobed(group: &mut Group, spec: &GroupSpec) {
    let unprobed: Vec<Uid> = group
        .all_members()
        .filter(|member| target(group, spec, member).is_err())
        .map(|member| member.uid.clone())
        .collect();
    for uid in unprobed {
        if let Some(health) = group.detection.health.get_mut(&uid) {
            health.note_unprobed();
        }
    }
}

/// All that this replica should probe.
pub(super) fn plan(group: &Group, spec: &GroupSpec) -> Vec<ProbeTarget> {
    group.all_members().filter_map(|member| target(group, spec, member).ok()).collect()
}

/// Asks for a probe out of turn if one is due because the holder is suspected to have died.
pub(super) fn confirm(group: &mut Group, now: Duration, actions: &mut Vec<Action>) {
    let Some(holder) = group.holder_uid().cloned() else { return };
    if group.follows().is_some() || !assess::armed(group) {
        return; // nothing follows from it, or no proof can
    }
    let Some(health) = group.detection.health.get_mut(&holder) else { return };
    let Some(due) = health.next_probe(now) else { return };
    if due > now {
        group.wake_at(due);
        return;
    }
    health.note_probe_asked(now);
    if let Some(next) = health.next_probe(now) {
        group.wake_at(next);
    }
    actions.push(Action::ProbeAt { uid: holder, at: now });
}
