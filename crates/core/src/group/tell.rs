//! What the world is told: status, conditions, notices, finished changes.

use super::decide::Decision;
use super::probes::{self, NoProbe};
use super::slices::{self, Trouble};
use super::{Group, assess, change, follow, notices, projected};
use crate::action::{Action, Change, Notice};
use crate::conditions::{Condition, ConditionType, Status};
use crate::health::Verdict;
use crate::report::{Active, MemberReport, Report, Stages};
use crate::spec::GroupSpec;
use crate::traffic::{Led, led};
use crate::view::{Family, MemberView, ServiceFound};
use std::sync::Arc;
use std::time::Duration;

/// How long a probe may go unanswered by everybody before that is said aloud.
pub(super) const ARMING_BOUND: Duration = Duration::from_secs(30);

/// A right that the spec needs is missing.
const NOT_GRANTED: &str = "NotGranted";

/// What was told last, and what waits to be told.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) report: Option<Report>,
    pub(super) pending: Option<Pending>,
    pub(super) seat_refused: Option<Arc<str>>,
    pub(super) relist_asked: Option<Duration>,
    notices: Vec<(ConditionType, &'static str, String)>,
    holding: bool,
}

/// A change of the seat whose traffic has not followed everywhere yet.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) change: Change,
    /// `None`: another replica made it.
    pub(super) times: Option<Times>,
}

/// When a change of ours passed its stages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) first_sign: Duration,
    pub(super) proven: Duration,
    pub(super) sent: Duration,
    pub(super) stored: Duration,
}

/// Reports a change once all projections follow it.
pub(super) fn finish_change(group: &mut Group, spec: &GroupSpec, now: Duration, actions: &mut Vec<Action>) {
    if change::is_being_written(group) {
        return; // the watch was faster than the write's answer, which brings the stage times
    }
    let Some(pending) = &group.told.pending else { return };
    let Some((record, marks)) = group.valid_seat() else { return };
    if marks.term == pending.change.term && !projected::all_in_place(group, spec, &record.uid, marks) {
        return;
    }
    let Some(Pending { mut change, times }) = group.told.pending.take() else { return };
    change.stages = times.map(|times| Stages {
        detect: times.proven.saturating_sub(times.first_sign),
        decide: times.sent.saturating_sub(times.proven),
        seat: times.stored.saturating_sub(times.sent),
        traffic: now.saturating_sub(times.stored),
    });
    if times.is_some() {
        actions.push(Action::Tell(Notice {
            warning: !change.reason.is_planned(),
            reason: change.reason.as_str(),
            message: message_of(&change),
        }));
    }
    actions.push(Action::Completed(change));
}

fn message_of(change: &Change) -> String {
    match &change.from {
        Some(from) if *from != change.to => {
            format!("{} is active at term {}, after {from}", change.to, change.term)
        }
        _ => format!("{} is active at term {}", change.to, change.term),
    }
}

pub(super) fn publish(
    group: &mut Group,
    spec: &GroupSpec,
    now: Duration,
    decision: &Decision,
    actions: &mut Vec<Action>,
) {
    let under_way = change::is_under_way(group) && group.told.seat_refused.is_none();
    let unsettled = group.holder_is_unknown() || follow::is_unsettled(group, now);
    if under_way || group.seat_in_doubt() || unsettled {
        return; // in a moment there is more to say
    }
    let conditions = conditions(group, spec, now, decision);
    tell_holding(group, spec, decision, actions);
    let Some(view) = &group.view else { return };
    let seat = group.valid_seat();
    let term = group.follows().and_then(|_| follow::term(group));
    let report = Report {
        generation: view.generation,
        active: seat.and_then(|(_, marks)| group.member(&marks.holder_uid)).map(active),
        term: seat.map(|(_, marks)| marks.term).or(term.map(|(term, _)| term)),
        term_is_no_token: term.is_some_and(|(_, no_token)| no_token),
        reason: seat.map(|(_, marks)| marks.reason),
        since_ms: seat.map(|(_, marks)| marks.since_ms),
        members: members(group, spec),
        switchover: group.answer.clone(),
        standbys: standbys(group, spec),
        conditions,
    };
    send(group, report, actions);
}

/// The spec cannot be followed: that is all there is to say.
pub(super) fn publish_unaccepted(group: &mut Group, actions: &mut Vec<Action>) {
    let Some(view) = &group.view else { return };
    let Err(error) = &view.spec else { return };
    let message = error.to_string();
    let kept = group.told.report.as_ref();
    let report = Report {
        generation: view.generation,
        active: kept.and_then(|report| report.active.clone()),
        term: kept.and_then(|report| report.term).or(view.status_term),
        term_is_no_token: kept.is_some_and(|report| report.term_is_no_token),
        reason: kept.and_then(|report| report.reason),
        since_ms: kept.and_then(|report| report.since_ms),
        members: kept.map_or_else(Vec::new, |report| report.members.clone()),
        switchover: group.answer.clone(),
        standbys: kept.map_or(0, |report| report.standbys),
        conditions: vec![
            Condition::new(ConditionType::Accepted, Status::False, error.reason, message.clone()),
            Condition::new(ConditionType::Ready, Status::False, "NotAccepted", "the spec is not accepted"),
            Condition::new(ConditionType::Stalled, Status::True, "InvalidSpec", message),
        ],
    };
    send(group, report, actions);
}

fn send(group: &mut Group, report: Report, actions: &mut Vec<Action>) {
    if group.told.report.as_ref() == Some(&report) {
        return;
    }
    tell_refusals(group, &report, actions);
    group.told.report = Some(report.clone());
    actions.push(Action::Publish(Box::new(report)));
}

/// One Event for each thing that only a human can put right, when it begins.
fn tell_refusals(group: &mut Group, report: &Report, actions: &mut Vec<Action>) {
    let bad: Vec<(ConditionType, &'static str, String)> = report
        .conditions
        .iter()
        .filter(|condition| match condition.kind {
            ConditionType::Accepted | ConditionType::DetectionReady => condition.status == Status::False,
            ConditionType::Stalled => {
                // Said by Accepted already.
                let said = ["InvalidSpec", NOT_GRANTED, follow::NOT_GRANTED].contains(&condition.reason);
                condition.status == Status::True && !said
            }
            ConditionType::Ready | ConditionType::Redundant => false,
        })
        .map(|condition| (condition.kind, condition.reason, condition.message.clone()))
        .collect();
    for notice in &bad {
        if !group.told.notices.contains(notice) && group.lead {
            let (_, reason, message) = notice.clone();
            actions.push(Action::Tell(Notice { warning: true, reason, message }));
        }
    }
    group.told.notices = bad;
}

fn tell_holding(group: &mut Group, spec: &GroupSpec, decision: &Decision, actions: &mut Vec<Action>) {
    let holding = match decision {
        Decision::Hold(reason) => Some(reason),
        _ => None,
    };
    if let (Some(reason), false, true) = (holding, group.told.holding, group.lead) {
        let name = group.valid_seat().map_or("", |(_, marks)| &*marks.holder_name);
        let what = if slices::clears(spec, decision) { "and is not served" } else { "but stays active" };
        let message = format!("{name} looks bad ({reason}) {what}: no other member could take over");
        actions.push(Action::Tell(Notice { warning: true, reason: "Holding", message }));
    }
    group.told.holding = holding.is_some();
}

fn active(member: &MemberView) -> Active {
    Active {
        pod: member.name.clone(),
        uid: member.uid.clone(),
        ip: Family::PROJECTED.iter().find_map(|family| member.ip(*family)),
        node: member.node.clone(),
    }
}

fn standbys(group: &Group, spec: &GroupSpec) -> usize {
    assess::candidates(group, spec, group.holder_uid(), None).len()
}

fn members(group: &Group, spec: &GroupSpec) -> Vec<MemberReport> {
    let mut members: Vec<MemberReport> =
        group.all_members().map(|member| report_of(group, spec, member)).collect();
    members.sort_by(|a, b| a.name.cmp(&b.name));
    members
}

fn report_of(group: &Group, spec: &GroupSpec, member: &MemberView) -> MemberReport {
    let verdict = assess::verdict(group, &member.uid);
    let health = group.detection.health.get(&member.uid);
    let probe = probes::target(group, spec, member).ok().map(|_| match (verdict, health) {
        (Verdict::Unhealthy(_), _) => "Failing",
        (_, Some(health)) if health.has_answered() => "Armed",
        _ => "NotArmed",
    });
    // A single failed probe is no news: the error is told once it made a judgement, or while nothing ever answered.
    let error = health.filter(|health| !health.has_answered() || matches!(verdict, Verdict::Unhealthy(_)));
    MemberReport {
        name: member.name.clone(),
        role: if group.holder_uid() == Some(&member.uid) { "active" } else { "standby" },
        verdict: match verdict {
            Verdict::Healthy => "healthy",
            Verdict::Unhealthy(_) => "unhealthy",
            Verdict::Unknown => "unknown",
        },
        probe,
        last_error: error.and_then(|health| health.last_error().cloned()),
        unfit: assess::fitness(group, member).map(crate::candidate::Unfit::as_str),
        tripwire_off: group.detection.tripwire_off.get(&member.uid).copied(),
        delivered: notices::delivered(group, spec, member),
    }
}

fn conditions(group: &mut Group, spec: &GroupSpec, now: Duration, decision: &Decision) -> Vec<Condition> {
    let accepted = accepted(group, spec);
    let ready = ready(group, spec, decision);
    let standbys = standbys(group, spec);
    let redundant = if standbys > 0 {
        let many = if standbys == 1 { "member" } else { "members" };
        let message = format!("{standbys} {many} could take over");
        Condition::new(ConditionType::Redundant, Status::True, "StandbyReady", message)
    } else {
        let message = "no other member could take over; see status.members[].unfit";
        Condition::new(ConditionType::Redundant, Status::False, "NoStandby", message)
    };
    let detection = detection(group, spec, now);
    let stalled = stalled(group, spec, decision);
    [accepted, ready, redundant, detection].into_iter().chain(stalled).collect()
}

fn accepted(group: &Group, spec: &GroupSpec) -> Condition {
    let refused = group.services.iter().flatten().find_map(|service| {
        let name = &service.name;
        match &service.found {
            ServiceFound::Selecting(_) if led(spec, service) == Led::Not => Some((
                "ServiceHasSelector",
                format!(
                    "spec.traffic.services: Service {name} has a selector, so Kubernetes fills it with all pods; write mode: \
                     SelectorPointer beside its name, or a spec.roleLabel that its selector asks for, or remove its selector"
                ),
            )),
            ServiceFound::Usable(_) if led(spec, service) == Led::Not => Some((
                "ServiceHasNoSelector",
                format!(
                    "spec.traffic.services: Service {name} has no selector that could point to the active; remove mode: \
                     SelectorPointer from it"
                ),
            )),
            ServiceFound::ExternalName => Some((
                "ServiceIsExternalName",
                format!("spec.traffic.services: Service {name} is of type ExternalName; use ClusterIP or headless"),
            )),
            ServiceFound::ClaimedBy(other) => Some((
                "ServiceClaimed",
                format!("spec.traffic.services: Service {name} is led by the older group {other}; use another Service"),
            )),
            ServiceFound::Missing | ServiceFound::Usable(_) | ServiceFound::Selecting(_) => None,
        }
    });
    if let Some((reason, message)) = refused {
        return Condition::new(ConditionType::Accepted, Status::False, reason, message);
    }
    if let Some(refused) = follow::accepted(group) {
        return refused;
    }
    if let Some(why) = &group.told.seat_refused {
        let message =
            format!("the seat cannot be written: {why}; check the Role for leases in hotstandby's namespace");
        return Condition::new(ConditionType::Accepted, Status::False, "SeatRefused", message);
    }
    if let Some(Trouble::NotGranted(message)) = projected::trouble(group, spec) {
        return Condition::new(ConditionType::Accepted, Status::False, NOT_GRANTED, granting(&message));
    }
    Condition::new(ConditionType::Accepted, Status::True, "Accepted", "the spec is valid")
}

/// What to do where a write is refused that needs a right of its own.
fn granting(message: &str) -> String {
    format!(
        "{message}; if a right is missing, grant it with `hotstandby manifests --with role-labels,selector-pointer,delete-pods`, \
         of which each is a ClusterRole of its own"
    )
}

fn ready(group: &Group, spec: &GroupSpec, decision: &Decision) -> Condition {
    let not = |reason, message: String| Condition::new(ConditionType::Ready, Status::False, reason, message);
    for service in group.services.iter().flatten() {
        let name = &service.name;
        match &service.found {
            ServiceFound::Missing => {
                return not("ServiceNotFound", format!("there is no Service {name}; create it"));
            }
            ServiceFound::Usable(usable) if !usable.foreign.is_empty() => {
                let slices = usable.foreign.join(", ");
                return not(
                    "ForeignEndpoints",
                    format!(
                        "Service {name} also has EndpointSlices of others: {slices}; delete them and their Endpoints"
                    ),
                );
            }
            ServiceFound::Usable(usable)
                if !usable.families.iter().any(|family| Family::PROJECTED.contains(family)) =>
            {
                return not(
                    "NoIPv4",
                    format!("Service {name} has no IPv4 family; this version leads IPv4 only"),
                );
            }
            _ if led(spec, service) != Led::Not => {}
            _ => return not("NotAccepted", format!("Service {name} cannot be led; see condition Accepted")),
        }
    }
    if let Some(why) = follow::not_ready(group, spec) {
        return why;
    }
    match decision {
        Decision::Foreign => return not("ManagedByOther", "the seat is another install's".into()),
        Decision::Vacant => {
            return not("NoCandidate", "no member could be active; see status.members[].unfit".into());
        }
        Decision::Paused => {
            return not("Paused", "the group is paused and nobody is active; resume it".into());
        }
        Decision::Hold(reason) => {
            return not("HoldingUnfit", format!("the active looks bad ({reason}), nobody is better"));
        }
        Decision::Braked(reason) => {
            return not("Braked", format!("too many changes in 10 s, the last for {reason}"));
        }
        Decision::Stay
        | Decision::ReadSeat
        | Decision::ReadHolder(_)
        | Decision::ReadNamed { .. }
        | Decision::Followed
        | Decision::Suspect { .. }
        | Decision::Move(_) => {}
    }
    let awaited = notices::awaited(group, spec);
    if let Some(one) = awaited.first() {
        let message =
            format!("waiting for {} to acknowledge that it is active no more, or to be gone", one.name);
        return not("WaitingForOldActive", message);
    }
    served(group, spec).unwrap_or_else(|| not("Progressing", "waiting for seat and traffic".into()))
}

/// Ready=True, if exactly the holder is served.
fn served(group: &Group, spec: &GroupSpec) -> Option<Condition> {
    let (record, marks) = group.valid_seat()?;
    let holder = group.member(&marks.holder_uid)?;
    let served = projected::serves(group, spec, &marks.holder_uid);
    if !served || !projected::all_in_place(group, spec, &record.uid, marks) {
        return None;
    }
    let missing = group.services.iter().flatten().find_map(|service| match &service.found {
        ServiceFound::Usable(usable) => {
            let port = *crate::traffic::unresolved(usable, holder).first()?;
            Some(format!(
                "{} has no container port for port {:?} of Service {}",
                holder.name, port.name, service.name
            ))
        }
        _ => None,
    });
    if let Some(message) = missing {
        return Some(Condition::new(ConditionType::Ready, Status::False, "PortNotFound", message));
    }
    Some(Condition::new(ConditionType::Ready, Status::True, "Serving", format!("{} is active", holder.name)))
}

fn detection(group: &mut Group, spec: &GroupSpec, now: Duration) -> Condition {
    let kind = ConditionType::DetectionReady;
    if assess::armed(group) {
        return Condition::new(kind, Status::True, "Armed", "probes are answered");
    }
    let refusals: Vec<NoProbe> =
        group.all_members().filter_map(|member| probes::target(group, spec, member).err()).collect();
    for refusal in &refusals {
        match refusal {
            NoProbe::Mesh(mesh) => {
                let message = format!(
                    "pods carry the {mesh} sidecar, which answers TCP in the app's place; set spec.detect.probe.httpGet"
                );
                return Condition::new(kind, Status::False, "MeshSidecar", message);
            }
            NoProbe::UnknownPort => {
                let message = "the probe's port is not among the pods' container ports; name one of them";
                return Condition::new(kind, Status::False, "UnknownPort", message);
            }
            NoProbe::NoTcpPort => {
                let message =
                    "no probe is named and no Service has a TCP port: only Kubernetes' own facts count";
                return Condition::new(kind, Status::True, "FactsOnly", message);
            }
            NoProbe::NotRunning | NoProbe::Waiting => {}
        }
    }
    let due = group.detection.probing_since.unwrap_or(now) + ARMING_BOUND;
    if now < due {
        group.wake_at(due);
        return Condition::new(kind, Status::Unknown, "Arming", "no member has answered a probe yet");
    }
    if probes::plan(group, spec).is_empty() {
        return Condition::new(kind, Status::Unknown, "NoMembers", "there is no running member to probe");
    }
    let message = "no member ever answered a probe: look at the probe's port and path, and for a NetworkPolicy or mesh \
                   that keeps hotstandby out; until then only Kubernetes' own facts count";
    Condition::new(kind, Status::False, "NeverSucceeded", message)
}

fn stalled(group: &Group, spec: &GroupSpec, decision: &Decision) -> Option<Condition> {
    let yes =
        |reason, message: String| Some(Condition::new(ConditionType::Stalled, Status::True, reason, message));
    if *decision == Decision::Foreign {
        let other =
            group.seat.state.record().and_then(|record| record.controller.clone()).unwrap_or_default();
        let message = format!("the seat is managed by {other}; remove one of the two installs");
        return yes("ManagedByOther", message);
    }
    if let Some(refused) = follow::accepted(group) {
        return yes(refused.reason, refused.message);
    }
    if let Decision::Braked(reason) = decision {
        let message = format!(
            "the seat changed hands too often, last for {reason}; find out why, it goes on by itself"
        );
        return yes("Braked", message);
    }
    match projected::trouble(group, spec)? {
        Trouble::ManagedByOther(message) => yes("ManagedByOther", message),
        Trouble::Refused(message) => yes("SliceRefused", message),
        Trouble::NotGranted(message) => yes(NOT_GRANTED, granting(&message)),
        Trouble::Contested(reason, message) => yes(reason, message),
    }
}
