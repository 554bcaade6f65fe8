//! `hotstandby switchover`: one annotation, and the wait for its answer in `status.switchover`.

use super::table::millis;
use super::{CliError, KubeFlags, object_name};
use clap::{ArgAction, Args};
use futures::StreamExt;
use hotstandby_cluster::api::ActiveStandby;
use hotstandby_cluster::api::status::SwitchoverStatus;
use hotstandby_cluster::names;
use hotstandby_cluster::user::{Change, Groups, UserError};
use hotstandby_core::switchover::Phase;
use std::pin::pin;
use std::time::{Duration, Instant, SystemTime};

/// How often the request is written again where only the group's status has changed in between.
const TRIES: usize = 8;

/// Flags of `switchover`.
#[derive(Debug, Args)]
pub(crate) struct SwitchoverArgs {
    /// The group.
    #[arg(value_name = "NAME", value_parser = object_name)]
    name: String,
    /// The pod to move to; the best standby if not given.
    #[arg(long, value_name = "POD", value_parser = object_name)]
    to: Option<String>,
    /// Whether to wait for the answer; --wait=false only leaves the request.
    #[arg(long, value_name = "BOOL", default_value_t = true, num_args = 0..=1, require_equals = true,
          default_missing_value = "true", action = ArgAction::Set)]
    wait: bool,
    /// How long to wait; then the request is withdrawn.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = timeout)]
    timeout: Duration,
    #[command(flatten)]
    kube: KubeFlags,
}

fn timeout(text: &str) -> Result<Duration, String> {
    let parsed = hotstandby_cluster::api::duration::Duration::from(text).parse();
    match parsed {
        Ok(time) if !time.is_zero() => Ok(time),
        Ok(_) => Err("write more than zero, such as 30s".to_owned()),
        Err(error) => Err(format!("{error}; write whole numbers with h, m, s or ms, such as 30s")),
    }
}

/// Runs `switchover`.
pub(super) async fn run(args: SwitchoverArgs, before: &KubeFlags) -> Result<(), CliError> {
    let SwitchoverArgs { name, to, wait, timeout, kube } = args;
    let groups = kube.or(before).connect().await?;
    let group = groups.get(&name).await?;
    let Asked { term, active } = Asked::of(&group)?;
    if let (Some(to), Some(active)) = (&to, &active)
        && to == active
    {
        println!("{to} is active already (term {term})");
        return Ok(());
    }
    let request = request_text(term, to.as_deref());
    let started = Instant::now();
    send(&groups, group, term, &request).await?;
    if !wait {
        println!("asked {name} to move ({request}); the answer will be in status.switchover");
        return Ok(());
    }
    let Ok(answered) = tokio::time::timeout(timeout, answer(&groups, &name, &request)).await else {
        return Err(withdraw(&groups, &name, &request, timeout).await);
    };
    let (group, answer) = answered?;
    let was = active.as_deref().unwrap_or("nobody");
    report(&name, &group, &answer, was, term, started.elapsed())
}

/// What the asker sees at the moment of asking.
struct Asked {
    term: i64,
    active: Option<String>,
}

impl Asked {
    fn of(group: &ActiveStandby) -> Result<Self, CliError> {
        let status = group.status.as_ref();
        let Some(term) = status.and_then(|status| status.term) else {
            return Err(CliError::Refused(
                "the group has no seat yet, so there is nobody to move from; see: hotstandby status NAME"
                    .to_owned(),
            ));
        };
        let active = status.and_then(|status| status.active.as_ref()).map(|active| active.pod.clone());
        Ok(Self { term, active })
    }
}

/// `id` tells this request from an earlier one with the same words, whose answer may still stand.
fn request_text(term: i64, to: Option<&str>) -> String {
    let to = to.map(|pod| format!(",to={pod}")).unwrap_or_default();
    let id = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
    format!("term={term}{to},id={id}")
}

/// Leaves the request on the group as it was seen. Every change of the status makes the write fail once; it
/// is repeated as long as the term is still the one that was seen.
async fn send(groups: &Groups, mut group: ActiveStandby, term: i64, request: &str) -> Result<(), CliError> {
    for _ in 0..TRIES {
        match groups.annotate(&group, names::SWITCHOVER, Some(request), true).await {
            Ok(_) => return Ok(()),
            Err(UserError::Overtaken) => {}
            Err(error) => return Err(error.into()),
        }
        let name = group.metadata.name.clone().unwrap_or_default();
        group = groups.get(&name).await?;
        let now = Asked::of(&group)?;
        if now.term != term {
            return Err(CliError::Refused(format!(
                "void: the active changed while you asked, {} is active at term {}; nothing was done",
                now.active.as_deref().unwrap_or("nobody"),
                now.term,
            )));
        }
    }
    Err(UserError::Overtaken.into())
}

/// Waits for the final answer to this request.
async fn answer(
    groups: &Groups,
    name: &str,
    request: &str,
) -> Result<(ActiveStandby, SwitchoverStatus), CliError> {
    let note = |text: String| eprintln!("waiting for the API server: {text}");
    let mut changes = pin!(groups.watch(Some(name), false, note));
    while let Some(change) = changes.next().await {
        let seen = match change? {
            Change::All(all) => all.into_iter().next(),
            Change::Changed(group) => Some(*group),
            Change::Deleted(_) => None,
        };
        let Some(group) = seen else {
            return Err(CliError::Refused(format!("{name} was deleted while its switchover was waited for")));
        };
        if let Some(answer) = final_answer(&group, request) {
            return Ok((group, answer));
        }
        if group.annotation(names::SWITCHOVER) != Some(request) {
            return Err(CliError::Refused(
                "another switchover request has taken the place of this one".to_owned(),
            ));
        }
    }
    Err(UserError::Unreachable("the watch ended".to_owned()).into())
}

/// The answer to this request, once it is final. A phase this version does not know is taken for final: it
/// is reported as it is, rather than waited for in vain.
fn final_answer(group: &ActiveStandby, request: &str) -> Option<SwitchoverStatus> {
    let answer = group.status.as_ref()?.switchover.as_ref()?;
    (answer.request == request && Phase::parse(&answer.phase) != Some(Phase::Pending)).then(|| answer.clone())
}

/// Takes back a request that nobody answered, so that it is not followed when nobody expects it any more.
async fn withdraw(groups: &Groups, name: &str, request: &str, waited: Duration) -> CliError {
    let mut end = format!("{request:?} could not be withdrawn");
    if let Ok(group) = groups.get(name).await {
        if let Some(answer) = final_answer(&group, request) {
            end = format!("it was answered in the last moment: {}: {}", answer.phase, answer.message);
        } else if group.annotation(names::SWITCHOVER) != Some(request) {
            "another request has taken its place".clone_into(&mut end);
        } else if groups.annotate(&group, names::SWITCHOVER, None, true).await.is_ok() {
            "the request was withdrawn".clone_into(&mut end);
        }
    }
    CliError::TimedOut(format!(
        "no answer within {waited:?}; {end}; see: hotstandby status {name}, and whether the controller runs: \
         kubectl get pods -A -l app.kubernetes.io/name=hotstandby"
    ))
}

fn report(
    name: &str,
    group: &ActiveStandby,
    answer: &SwitchoverStatus,
    was: &str,
    old_term: i64,
    took: Duration,
) -> Result<(), CliError> {
    if Phase::parse(&answer.phase) != Some(Phase::Done) {
        let phase = answer.phase.to_lowercase();
        return Err(CliError::Refused(format!("{phase}: {}; nothing was done", answer.message)));
    }
    let status = group.status.as_ref();
    let active =
        status.and_then(|status| status.active.as_ref()).map_or("nobody", |active| active.pod.as_str());
    let term = status.and_then(|status| status.term).unwrap_or_default();
    println!("{name}: {active} is active at term {term}, was {was} at term {old_term}");
    let change = status.and_then(|status| status.history.iter().find(|change| change.term == term));
    let inside = change.and_then(|change| change.stages).map(|stages| {
        let [decide, seat, traffic] =
            [stages.decide_micros, stages.seat_micros, stages.traffic_micros].map(millis);
        format!(" (in the controller: decide {decide}, seat {seat}, traffic {traffic})")
    });
    println!("took {} ms from the request to its answer{}", took.as_millis(), inside.unwrap_or_default());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hotstandby_core::ids::Term;
    use hotstandby_core::switchover::Request;

    #[test]
    fn requests_are_what_the_controller_reads() {
        let request = Request::parse(&request_text(7, Some("web-1"))).unwrap();
        assert_eq!(request, Request { term: Term(7), to: Some("web-1".into()) });
        assert_eq!(Request::parse(&request_text(7, None)).unwrap().to, None);
    }

    #[test]
    fn only_the_final_answer_to_this_request_counts() {
        let group = |request: &str, phase: &str| -> ActiveStandby {
            serde_json::from_value(serde_json::json!({
                "apiVersion": "hotstandby.dev/v1alpha1", "kind": "ActiveStandby", "metadata": {"name": "web"},
                "spec": {"selector": {"matchLabels": {"a": "b"}}, "traffic": {"services": [{"name": "s"}]}},
                "status": {"switchover": {"request": request, "phase": phase}},
            }))
            .unwrap()
        };
        assert!(final_answer(&group("term=7,id=1", "Pending"), "term=7,id=1").is_none());
        assert!(final_answer(&group("term=7,id=2", "Done"), "term=7,id=1").is_none());
        for phase in ["Done", "Void", "Refused", "SomethingNew"] {
            assert!(final_answer(&group("term=7,id=1", phase), "term=7,id=1").is_some(), "{phase}");
        }
    }

    #[test]
    fn timeouts_are_durations() {
        assert_eq!(timeout("1m30s"), Ok(Duration::from_secs(90)));
        assert!(timeout("0s").is_err());
        assert!(timeout("30").unwrap_err().contains("30s"));
    }
}
