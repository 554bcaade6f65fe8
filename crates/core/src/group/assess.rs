//! Facts and verdicts about each member, from what was observed.

use super::{Group, labels};
use crate::candidate::{self, Candidate, Confidence, Unfit};
use crate::facts::{self, Fact, Standing, Surroundings};
use crate::health::Verdict;
use crate::ids::Uid;
use crate::spec::GroupSpec;
use crate::view::{MemberView, NodeState};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long after a node's return its pods' Ready=False may still be the node controller's.
const BACK_WINDOW: Duration = Duration::from_secs(30);

/// Brings what follows from the views up to date.
pub(super) fn refresh(group: &mut Group, spec: &GroupSpec, now: Duration) {
    expire_unlisted(group, now);
    note_nodes(group, now);
    note_critical_containers(group);
    group.detection.probing_since.get_or_insert(now);
    note_fitness(group, spec, now);
}

/// A holder that only a live read knew, and of which the watch has not told since, must be read again.
fn expire_unlisted(group: &mut Group, now: Duration) {
    let Some((uid, until)) = group.detection.unlisted.clone() else { return };
    if now < until {
        group.wake_at(until);
        return;
    }
    group.detection.unlisted = None;
    if let Some(members) = &mut group.members {
        members.remove(&uid);
    }
}

/// Since when each member has been fit, which clears penalties and allows failback.
fn note_fitness(group: &mut Group, spec: &GroupSpec, now: Duration) {
    let fit: Vec<(Uid, bool)> = group
        .all_members()
        .map(|member| (member.uid.clone(), is_healthy(group, member) && is_heard(group, spec, member, now)))
        .collect();
    group.detection.fit_since.retain(|uid, _| fit.iter().any(|(other, healthy)| other == uid && *healthy));
    for (uid, healthy) in fit {
        if healthy {
            group.detection.fit_since.entry(uid.clone()).or_insert(now);
        }
        let ends_at = group.penalties.get_mut(&uid).and_then(|penalty| {
            penalty.note_health(now, healthy);
            penalty.ends_at()
        });
        if let Some(at) = ends_at {
            group.wake_at(at);
        }
    }
    group.penalties.retain(|_, penalty| penalty.is_active());
}

/// Whether it answered lately, where answers can be had: a replica that is blind to a member must not take its silence for
/// health, else a seat that others took from that member would go back to it again and again.
fn is_heard(group: &Group, spec: &GroupSpec, member: &MemberView, now: Duration) -> bool {
    if !armed(group) || super::probes::target(group, spec, member).is_err() {
        return true;
    }
    let newest = group.detection.health.get(&member.uid).and_then(crate::health::Health::last_success);
    newest.is_some_and(|sent| sent + spec.timing.period * 2 + spec.timing.timeout >= now)
}

fn is_healthy(group: &Group, member: &MemberView) -> bool {
    fitness(group, member).is_none() && !doubtful(group, &member.uid)
}

/// Notes which nodes fell silent and when they came back.
fn note_nodes(group: &mut Group, now: Duration) {
    let Some(nodes) = &group.nodes else { return };
    let detection = &mut group.detection;
    for (name, state) in &nodes.nodes {
        if let NodeState::Ready { since_ms } = state {
            let was_silent = detection.node_silent.remove(name);
            // Another time than before: it was silent between two looks.
            let is_known = detection.node_ready_seen.get(name).is_some_and(|(_, since)| since == since_ms);
            if was_silent || !is_known {
                detection.node_ready_seen.insert(name.clone(), (now, *since_ms));
            }
        } else {
            detection.node_silent.insert(name.clone());
        }
    }
    let back: Vec<&Uid> = group
        .members
        .iter()
        .flat_map(BTreeMap::values)
        .filter(|member| {
            let state = member.node.as_ref().and_then(|name| nodes.nodes.get(name));
            matches!(state, Some(NodeState::Ready { .. }))
        })
        .map(|member| &member.uid)
        .collect();
    group.used_facts.retain(|key| !(Fact::is_of_node(key) && back.contains(&&key.0)));
    detection.node_ready_seen.retain(|name, _| nodes.nodes.contains_key(name));
    detection.node_silent.retain(|name| nodes.nodes.contains_key(name));
}

/// A critical container that ended before this replica knew the pod, and from which it recovered, is history.
fn note_critical_containers(group: &mut Group) {
    let Some(members) = &group.members else { return };
    for member in members.values() {
        if let Some(instance) = &member.critical_terminated
            && member.ready
        {
            group.detection.known_critical.entry(member.uid.clone()).or_insert_with(|| instance.clone());
        }
        if member.critical_terminated.is_none() {
            // Known to have none yet: whatever ends from now on is new.
            group.detection.known_critical.entry(member.uid.clone()).or_insert_with(|| "".into());
        }
    }
}

/// Whether failures count at all: somebody answered this probe from this replica.
pub(super) fn armed(group: &Group) -> bool {
    group.detection.health.values().any(crate::health::Health::has_answered)
}

/// The probes' verdict on a member.
pub(super) fn verdict(group: &Group, uid: &Uid) -> Verdict {
    let threshold = group
        .view
        .as_ref()
        .and_then(|view| view.spec.as_ref().ok())
        .map_or(u32::MAX, |spec| spec.timing.failure_threshold);
    group.detection.health.get(uid).map_or(Verdict::Unknown, |health| health.verdict(armed(group), threshold))
}

/// Whether its newest counted probe failed.
pub(super) fn doubtful(group: &Group, uid: &Uid) -> bool {
    armed(group) && group.detection.health.get(uid).is_some_and(crate::health::Health::is_doubtful)
}

/// The facts about a holder.
pub(super) fn standing(group: &mut Group, member: &MemberView, now: Duration) -> Standing {
    let node = node_of(group, member);
    let back_until = member
        .node
        .as_ref()
        .and_then(|name| group.detection.node_ready_seen.get(name))
        .map(|(seen, _)| *seen + BACK_WINDOW)
        .filter(|until| now < *until);
    if let Some(until) = back_until.filter(|_| !member.ready) {
        group.wake_at(until);
    }
    let around = Surroundings {
        node,
        control_plane_ill: control_plane_ill(group),
        node_just_back: back_until.is_some(),
        critical_is_new: critical_is_new(group, member),
    };
    facts::standing(member, around)
}

/// Whether a critical container of it ended that is not known to have ended before.
pub(super) fn critical_is_new(group: &Group, member: &MemberView) -> bool {
    let known = group.detection.known_critical.get(&member.uid);
    member.critical_terminated.is_some() && known != member.critical_terminated.as_ref()
}

pub(super) fn control_plane_ill(group: &Group) -> bool {
    group.nodes.as_ref().is_some_and(|nodes| nodes.control_plane_ill)
}

fn node_of(group: &Group, member: &MemberView) -> Option<NodeState> {
    group.nodes.as_ref()?.nodes.get(member.node.as_ref()?).copied()
}

/// Why a member could not be active now, facts and probes together.
pub(super) fn fitness(group: &Group, member: &MemberView) -> Option<Unfit> {
    candidate::unfit(member, node_of(group, member), control_plane_ill(group))
        .or_else(|| labels::is_unsettled(group, &member.uid).then_some(Unfit::NotLabelled))
        .or_else(|| matches!(verdict(group, &member.uid), Verdict::Unhealthy(_)).then_some(Unfit::Unhealthy))
}

/// A member as a candidate, whether fit or not.
pub(super) fn as_candidate<'a>(
    group: &Group,
    member: &'a MemberView,
    incumbent: Option<&Uid>,
) -> Candidate<'a> {
    let answers = group.detection.health.get(&member.uid).is_some_and(crate::health::Health::answers);
    let confidence = match verdict(group, &member.uid) {
        _ if doubtful(group, &member.uid) => Confidence::Doubtful,
        Verdict::Healthy if answers => Confidence::Answers,
        Verdict::Healthy | Verdict::Unknown | Verdict::Unhealthy(_) => Confidence::Untried,
    };
    let preferred = group.nodes.as_ref().zip(member.node.as_ref());
    Candidate {
        member,
        confidence,
        penalised: group.penalties.get(&member.uid).is_some_and(crate::penalty::Penalty::is_active),
        preferred_node: preferred.is_some_and(|(nodes, node)| nodes.preferred.contains(node)),
        incumbent: incumbent == Some(&member.uid),
    }
}

/// Fit members other than `except`, best first.
pub(super) fn candidates<'a>(
    group: &'a Group,
    spec: &GroupSpec,
    except: Option<&Uid>,
    incumbent: Option<&Uid>,
) -> Vec<Candidate<'a>> {
    let mut fit: Vec<Candidate<'a>> = group
        .all_members()
        .filter(|member| Some(&member.uid) != except && fitness(group, member).is_none())
        .map(|member| as_candidate(group, member, incumbent))
        .collect();
    fit.sort_by(|a, b| candidate::compare(a, b, &spec.order));
    fit
}
