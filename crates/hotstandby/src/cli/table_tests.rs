use super::*;
use serde_json::{Value, json};

const NOW_MS: i64 = 1_767_225_600_000; // 2026-01-01T00:00:00Z

fn group(name: &str, status: Value) -> ActiveStandby {
    let mut group = json!({
        "apiVersion": "hotstandby.dev/v1alpha1", "kind": "ActiveStandby",
        "metadata": {"namespace": "shop", "name": name, "generation": 2, "creationTimestamp": "2025-12-22T00:00:00Z"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "traffic": {"services": [{"name": "s"}]}},
    });
    if !status.is_null() {
        group["status"] = status;
    }
    serde_json::from_value(group).unwrap()
}

fn full() -> ActiveStandby {
    group(
        "web",
        json!({
            "observedGeneration": 2,
            "active": {"pod": "web-1", "uid": "u", "ip": "10.0.0.2", "node": "n2"},
            "term": 8, "since": "2025-12-31T23:57:00.5Z", "reason": "ProbeRefused", "standbys": 1,
            "members": [
                {"name": "web-0", "role": "standby", "verdict": "unhealthy", "probe": "Failing", "lastError": "refused", "unfit": "probe failing"},
                {"name": "web-1", "role": "active", "verdict": "healthy", "probe": "Armed",
                    "told": {"uid": "u", "role": "active", "term": 8, "tries": 2, "acknowledged": true}},
            ],
            "switchover": {"request": "term=6", "phase": "Void", "message": "it names term 6"},
            "history": [{
                "term": 8, "from": "web-0", "to": "web-1", "reason": "ProbeRefused", "at": "2025-12-31T23:57:00.5Z",
                "stages": {"detectMicros": 5600, "decideMicros": 49, "seatMicros": 4012, "trafficMicros": 5000},
            }],
            "conditions": [{
                "type": "Ready", "status": "True", "reason": "Serving", "message": "web-1 is served",
                "lastTransitionTime": "2025-12-31T23:57:00Z",
            }],
        }),
    )
}

fn columns(namespace: bool, wide: bool) -> Columns {
    Columns { namespace, wide }
}

#[test]
fn list_is_aligned_and_missing_values_are_dashes() {
    let (full, new) = (full(), group("a-new-one", Value::Null));
    let expected = "\
NAME        READY     ACTIVE   TERM   STANDBYS   SINCE   AGE
web         True      web-1    8      1          2m59s   10d
a-new-one   Unknown   -        -      -          -       10d
";
    assert_eq!(list(&[&full, &new], columns(false, false), NOW_MS), expected);
}

#[test]
fn wide_list_says_why_and_where() {
    let expected = "\
NAMESPACE   NAME   READY   ACTIVE   TERM   STANDBYS   SINCE   AGE   REASON         NODE   IP         PAUSED
shop        web    True    web-1    8      1          2m59s   10d   ProbeRefused   n2     10.0.0.2   no
";
    assert_eq!(list(&[&full()], columns(true, true), NOW_MS), expected);
}

#[test]
fn detail_shows_all_there_is() {
    let expected = "\
Group:      shop/web
Active:     web-1 (10.0.0.2 on n2)
Term:       8
Since:      2m59s ago, by ProbeRefused
Switchover: Void (term=6): it names term 6

Conditions:
  TYPE    STATUS   REASON    MESSAGE
  Ready   True     Serving   web-1 is served

Members:
  NAME    ROLE      VERDICT     PROBE     TRIPWIRE   NOTE
  web-0   standby   unhealthy   Failing   -          probe failing; refused
  web-1   active    healthy     Armed     -          told active at term 8, acknowledged (2 tried)

History:
  TERM   WHEN        FROM    TO      REASON         DETECT   DECIDE   SEAT    TRAFFIC
  8      2m59s ago   web-0   web-1   ProbeRefused   5.6ms    0.0ms    4.0ms   5.0ms
";
    assert_eq!(detail(&full(), NOW_MS), expected);
}

#[test]
fn detail_of_a_paused_group_without_status_says_so() {
    let mut new = group("web", Value::Null);
    new.spec.paused = true;
    let text = detail(&new, NOW_MS);
    assert!(text.contains("by spec.paused") && text.contains("is the controller running"), "{text}");
}

#[test]
fn lengths_of_time_read_as_in_kubectl() {
    for (seconds, text) in [
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (125, "2m5s"),
        (600, "10m"),
        (10_799, "179m"),
        (10_800, "3h"),
        (10_860, "3h1m"),
        (90_000, "25h"),
        (172_800, "2d"),
        (180_000, "2d2h"),
        (864_000, "10d"),
    ] {
        assert_eq!(duration(seconds * 1000), text, "{seconds}");
    }
    assert_eq!(duration(-5), "0s");
}
