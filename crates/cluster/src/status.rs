//! `status`: merged from what is there and what should be, and written only where the two differ.

use crate::api::ActiveStandby;
use crate::api::status::{
    ActivePod, ActiveStandbyStatus, HistoryEntry, LONGEST_HISTORY, MemberStatus, StageTimes,
    SwitchoverStatus, ToldStatus,
};
use crate::call::{Verb, with_deadline};
use crate::seat::FIELD_MANAGER;
use hotstandby_core::action::Change;
use hotstandby_core::conditions::{self, ConditionType};
use hotstandby_core::ids::{GroupKey, Rv, Uid};
use hotstandby_core::notice::Delivered;
use hotstandby_core::observation::WriteError;
use hotstandby_core::report::{Active, MemberReport, Report, Stages};
use hotstandby_core::switchover::Answer;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime, Time};
use kube::api::PostParams;
use kube::core::{ApiResource, DynamicObject};
use kube::{Api, Client};
use std::sync::Arc;

/// The condition types that are ours; any other is left as somebody else's.
const OUR_CONDITIONS: [ConditionType; 5] = [
    ConditionType::Accepted,
    ConditionType::Ready,
    ConditionType::Redundant,
    ConditionType::DetectionReady,
    ConditionType::Stalled,
];

/// A status as the watch showed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedStatus {
    /// UID of the group.
    pub uid: Uid,
    /// Its resourceVersion.
    pub rv: Rv,
    /// The status as JSON: a tenth of its size in memory otherwise. `None` where there is none yet.
    pub json: Option<Arc<[u8]>>,
}

/// What became of a publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Published {
    /// It stood there already: nothing was sent.
    Unchanged,
    /// It was written; the group has this resourceVersion now.
    Written(Rv),
}

/// Writes status.
#[derive(Clone)]
pub struct StatusStore {
    client: Client,
}

impl StatusStore {
    /// A store over this client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Brings the status to `report`, with `changes` added to the history, unless it says so already.
    ///
    /// On [`WriteError::Conflict`] the group has changed: wait for its next observation and try again.
    pub async fn publish(
        &self,
        key: &GroupKey,
        observed: &ObservedStatus,
        report: &Report,
        changes: &[Change],
        now_ms: i64,
    ) -> Result<Published, WriteError> {
        let what = format!("write status of {key}");
        // A status that cannot be read, left by another version, is replaced.
        let old: Option<ActiveStandbyStatus> =
            observed.json.as_deref().and_then(|json| serde_json::from_slice(json).ok());
        let new = merge_status(old.as_ref(), report, changes, now_ms);
        if old.as_ref() == Some(&new) {
            return Ok(Published::Unchanged);
        }
        let kind = ApiResource::erase::<ActiveStandby>(&());
        let status = serde_json::json!({ "status": new });
        // Without the spec: the status subresource takes that from what is stored.
        let mut object = DynamicObject::new(&key.name, &kind).within(&key.namespace).data(status);
        object.metadata.uid = Some(observed.uid.to_string());
        object.metadata.resource_version = Some(observed.rv.to_string());
        let groups: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &key.namespace, &kind);
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let call = groups.replace_status(&key.name, &params, &object);
        let stored = with_deadline(Verb::Change, &what, call).await?;
        let rv = stored.metadata.resource_version.unwrap_or_default();
        Ok(Published::Written(rv.into()))
    }
}

/// The status that says `report`, keeping from `old` what time and other writers put there.
pub fn merge_status(
    old: Option<&ActiveStandbyStatus>,
    report: &Report,
    changes: &[Change],
    now_ms: i64,
) -> ActiveStandbyStatus {
    // Destructured without `..`: a new field of the report must be shown or left out on purpose.
    let Report {
        generation,
        active,
        term,
        term_is_no_token,
        reason,
        since_ms,
        members,
        switchover,
        conditions,
        standbys,
    } = report;
    ActiveStandbyStatus {
        observed_generation: Some(*generation),
        active: active.as_ref().map(active_pod),
        term: term.map(|term| number(term.0)),
        term_is_no_token: term_is_no_token.then_some(true),
        since: since_ms.and_then(micro_time),
        reason: reason.map(|reason| reason.as_str().to_owned()),
        standbys: Some(i32::try_from(*standbys).unwrap_or(i32::MAX)),
        members: members.iter().map(member).collect(),
        switchover: switchover
            .as_ref()
            .map(|answer| merge_answer(old.and_then(|old| old.switchover.as_ref()), answer, now_ms)),
        history: merge_history(old.map_or(&[], |old| &old.history), changes),
        conditions: merge_conditions(old.map_or(&[], |old| &old.conditions), conditions, *generation, now_ms),
    }
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn micro_time(unix_ms: i64) -> Option<MicroTime> {
    Timestamp::from_millisecond(unix_ms).ok().map(MicroTime)
}

fn active_pod(active: &Active) -> ActivePod {
    let Active { pod, uid, ip, node } = active;
    ActivePod {
        pod: pod.to_string(),
        uid: uid.to_string(),
        ip: ip.map(|ip| ip.to_string()),
        node: node.as_deref().map(str::to_owned),
    }
}

fn member(report: &MemberReport) -> MemberStatus {
    let MemberReport { name, role, verdict, probe, last_error, unfit, tripwire_off, delivered } = report;
    MemberStatus {
        name: name.to_string(),
        role: (*role).to_owned(),
        verdict: (*verdict).to_owned(),
        probe: probe.map(str::to_owned),
        last_error: last_error.as_deref().map(str::to_owned),
        unfit: unfit.map(str::to_owned),
        tripwire: tripwire_off.map(str::to_owned),
        told: delivered.as_ref().map(told),
    }
}

fn told(delivered: &Delivered) -> ToldStatus {
    let Delivered { uid, role, term, tries, acknowledged, error } = delivered;
    ToldStatus {
        uid: uid.to_string(),
        role: role.as_str().to_owned(),
        term: number(term.0),
        tries: i32::try_from(*tries).unwrap_or(i32::MAX),
        acknowledged: *acknowledged,
        error: error.as_deref().map(str::to_owned),
    }
}

/// An answer keeps the time at which it was first given.
fn merge_answer(old: Option<&SwitchoverStatus>, answer: &Answer, now_ms: i64) -> SwitchoverStatus {
    let new = SwitchoverStatus {
        request: answer.request.to_string(),
        phase: answer.phase.as_str().to_owned(),
        message: answer.message.clone(),
        at: None,
    };
    let since = old
        .filter(|old| old.request == new.request && old.phase == new.phase && old.message == new.message)
        .and_then(|old| old.at.clone());
    SwitchoverStatus { at: since.or_else(|| micro_time(now_ms)), ..new }
}

/// One entry a term, the newest first. Only the replica that made a change knows its stage times: they are kept.
fn merge_history(old: &[HistoryEntry], changes: &[Change]) -> Vec<HistoryEntry> {
    let mut history = old.to_vec();
    for change in changes {
        let new = entry(change);
        match history.iter_mut().find(|have| have.term == new.term) {
            Some(have) => {
                let stages = new.stages.or(have.stages);
                *have = HistoryEntry { stages, from: new.from.or(have.from.take()), ..new };
            }
            None => history.push(new),
        }
    }
    history.sort_by_key(|entry| std::cmp::Reverse(entry.term));
    history.truncate(LONGEST_HISTORY);
    history
}

fn entry(change: &Change) -> HistoryEntry {
    let Change { term, from, to, reason, since_ms, stages } = change;
    HistoryEntry {
        term: number(term.0),
        from: from.as_deref().map(str::to_owned),
        to: Some(to.to_string()),
        reason: reason.as_str().to_owned(),
        at: micro_time(*since_ms),
        stages: stages.map(|Stages { detect, decide, seat, traffic }| {
            let micros = |time: std::time::Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
            StageTimes {
                detect_micros: micros(detect),
                decide_micros: micros(decide),
                seat_micros: micros(seat),
                traffic_micros: micros(traffic),
            }
        }),
    }
}

/// A condition's time moves only when its status does. Conditions of other types are somebody else's and stay.
fn merge_conditions(
    old: &[Condition],
    wanted: &[conditions::Condition],
    generation: i64,
    now_ms: i64,
) -> Vec<Condition> {
    // Whole seconds: that is what the API stores.
    let now = Timestamp::from_second(now_ms.div_euclid(1000)).unwrap_or(Timestamp::UNIX_EPOCH);
    let ours = wanted.iter().map(|condition| {
        let conditions::Condition { kind, status, reason, message } = condition;
        let since = old
            .iter()
            .find(|old| old.type_ == kind.as_str() && old.status == status.as_str())
            .map(|old| old.last_transition_time.clone());
        Condition {
            type_: kind.as_str().to_owned(),
            status: status.as_str().to_owned(),
            reason: (*reason).to_owned(),
            message: message.clone(),
            observed_generation: Some(generation),
            last_transition_time: since.unwrap_or(Time(now)),
        }
    });
    let others = old.iter().filter(|old| OUR_CONDITIONS.iter().all(|kind| kind.as_str() != old.type_));
    ours.chain(others.cloned()).collect()
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
