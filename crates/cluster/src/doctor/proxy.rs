//! kube-proxy's pause between two changes: the floor of every failover but the first.

use super::{Finding, Known, Severity, Snapshot, known};
use crate::objects::{At, Unread};
use serde_json::Value;
use std::time::Duration;

/// What a mode has where the configuration says nothing, or zero. ipvs has no pause then.
const DEFAULT: Duration = Duration::from_secs(1);

/// Mode and pause.
pub(super) fn check(snapshot: &Snapshot) -> Known<Vec<Finding>> {
    let Some(map) = known(&snapshot.kube_proxy)? else {
        let why = "kube-system has no ConfigMap kube-proxy: another proxy does its work, or the provider keeps its settings \
                   elsewhere; ask for its minimum sync period";
        return Err(Unread::new("kube-proxy's configuration", why));
    };
    let texts = map.data.iter().flatten().map(|(_, text)| text);
    let configs: Vec<Value> = texts
        .flat_map(|text| serde_saphyr::from_multiple::<Value>(text).unwrap_or_default())
        .filter(|value| value.get("kind").is_some_and(|kind| kind == "KubeProxyConfiguration"))
        .collect();
    let Some(config) = configs.first() else {
        return Err(Unread::new(
            "kube-proxy's configuration",
            "its ConfigMap has no KubeProxyConfiguration that can be read",
        ));
    };
    let (mode, pause) = mode_and_pause(config);
    let (severity, cost) = match pause {
        None => (Severity::Info, "changes are programmed without a pause".to_owned()),
        Some(pause) => {
            let severity = if pause > DEFAULT { Severity::Warning } else { Severity::Info };
            (
                severity,
                format!(
                    "a switch waits up to {pause:?} where any Service's endpoints changed just before it"
                ),
            )
        }
    };
    let remedy = if severity == Severity::Warning {
        format!("lower {mode}.minSyncPeriod in that ConfigMap and restart kube-proxy; 1s is the default")
    } else {
        format!("nothing; {mode}.minSyncPeriod is lowered at the price of more work for kube-proxy")
    };
    Ok(vec![Finding {
        id: "KubeProxySyncPeriod",
        severity,
        object: At::new("ConfigMap", "kube-system", "kube-proxy"),
        what: format!("mode {mode}: {cost}"),
        why: "kube-proxy programs a change at once, then waits for its minimum sync period, on each node and over all Services.",
        remedy,
    }])
}

/// The mode, and the pause where there is one.
fn mode_and_pause(config: &Value) -> (&str, Option<Duration>) {
    let mode =
        config.get("mode").and_then(Value::as_str).filter(|mode| !mode.is_empty()).unwrap_or("iptables");
    let set = config.pointer(&format!("/{mode}/minSyncPeriod")).and_then(Value::as_str).and_then(go_duration);
    let pause = set.filter(|pause| !pause.is_zero());
    (mode, if mode == "ipvs" { pause } else { Some(pause.unwrap_or(DEFAULT)) })
}

/// A duration as Go writes it, in the units that occur here.
fn go_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at_checked(end)?;
        let unit_end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(unit_end)?;
        let seconds = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 0.001,
            "us" | "µs" => 0.000_001,
            _ => return None,
        };
        let part = number.parse::<f64>().ok()? * seconds;
        total = total.checked_add(Duration::try_from_secs_f64(part).ok()?)?;
        rest = tail;
    }
    Some(total)
}
