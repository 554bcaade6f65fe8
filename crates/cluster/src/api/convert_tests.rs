//! One test per way a spec is taken or refused.

use super::*;
use hotstandby_core::spec::PortRef;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// A spec as YAML would give it: the smallest one, with `change` merged in.
fn spec(change: Value) -> ActiveStandbySpec {
    let mut spec = json!({"selector": {"matchLabels": {"app": "web"}}, "traffic": {"services": [{"name": "web-active"}]}});
    merge(&mut spec, change);
    serde_json::from_value(spec).unwrap()
}

fn merge(into: &mut Value, change: Value) {
    match (into, change) {
        (Value::Object(into), Value::Object(change)) => {
            for (key, value) in change {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, change) => *into = change,
    }
}

fn refused(change: Value) -> SpecError {
    spec(change).check().unwrap_err()
}

#[test]
fn smallest_spec_takes_the_defaults_of_the_core() {
    let checked = spec(json!({})).check().unwrap();
    assert_eq!(checked.group, GroupSpec::for_services(["web-active".into()]));
    assert!(checked.critical_containers.is_empty());
    assert!(!checked.paused);
    assert!(checked.selector.matches(&BTreeMap::from([("app".into(), "web".into())])));
}

#[test]
fn everything_offered_arrives() {
    let checked = spec(json!({
        "election": {"mode": "Controller"},
        "traffic": {"services": [{"name": "a"}, {"name": "b", "mode": "SelectorPointer"}], "whenNoCandidate": "Clear"},
        "detect": {
            "probe": {"httpGet": {"path": "/health", "port": "http", "scheme": "HTTPS", "host": "web.example",
                "expectedStatus": 200}},
            "period": "200ms", "timeout": "150ms", "failureThreshold": 5, "tripwire": {"mode": "Off"},
            "criticalContainers": {"names": ["main"], "env": {"name": "pwcriticality", "value": "critical"}, "deletePod": true},
        },
        "candidates": {"preferNodes": {"matchLabels": {"zone": "a"}}, "order": ["OldestStart", "Name"]},
        "failback": {"policy": "AfterDelay", "delay": "1m30s"},
        "roleLabel": {"key": "role", "active": "on", "standby": ""},
        "notify": [
            {"udp": {"port": 10001, "message": "Go"}},
            {
                "http": {"port": 80, "path": "/role", "scheme": "HTTPS"}, "roles": ["Active", "Standby"],
                "interval": "1s", "timeout": "1m", "deadline": "1h",
            },
        ],
        "order": "Strict", "oldActive": "Delete", "paused": true, "deletionPolicy": "Orphan", "adoptService": false,
    }))
    .check()
    .unwrap();
    let expected = GroupSpec {
        election: core::Election::Controller,
        services: vec!["a".into(), "b".into()],
        pointed: BTreeSet::from(["b".into()]),
        role_label: Some(core::RoleLabel {
            key: "role".into(),
            active: "on".into(),
            standby: None,
            in_selectors: false,
        }),
        when_no_candidate: core::WhenNoCandidate::Clear,
        probe: ProbeKind::Http {
            port: PortRef::Name("http".into()),
            path: "/health".into(),
            tls: true,
            host: Some("web.example".into()),
            status: Some(200),
        },
        timing: Timing {
            period: StdDuration::from_millis(200),
            timeout: StdDuration::from_millis(150),
            failure_threshold: 5,
        },
        tripwire: core::TripwireMode::Off,
        order: vec![core::OrderBy::OldestStart, core::OrderBy::Name],
        prefer_nodes: BTreeMap::from([("zone".into(), "a".into())]),
        failback: core::Failback::AfterDelay(StdDuration::from_secs(90)),
        old_active: core::OldActive::Delete,
        delete_critical: true,
        notify: vec![
            NoticeSpec {
                by: NoticeBy::Udp { port: 10001, message: "Go".into() },
                roles: vec![notice::Role::Active],
                acknowledge: false,
                interval: StdDuration::from_millis(200),
                timeout: StdDuration::from_millis(500),
                deadline: StdDuration::from_secs(2),
            },
            NoticeSpec {
                by: NoticeBy::Http { port: 80, path: "/role".into(), tls: true },
                roles: vec![notice::Role::Active, notice::Role::Standby],
                acknowledge: false,
                interval: StdDuration::from_secs(1),
                timeout: StdDuration::from_mins(1),
                deadline: StdDuration::from_hours(1),
            },
        ],
        handover: core::Handover::Strict,
        deletion_policy: core::DeletionPolicy::Orphan,
    };
    assert_eq!(checked.group, expected);
    assert!(checked.paused);
    let critical = checked.critical_containers;
    assert!(critical.contains("main", []));
    assert!(critical.contains("other", [("pwcriticality", "critical")]));
    assert!(!critical.contains("other", [("pwcriticality", "no")]));
    assert!(!critical.contains("other", [("else", "critical")]));
}

#[test]
fn tcp_probe_arrives() {
    let checked = spec(json!({"detect": {"probe": {"tcpSocket": {"port": 5432}}}})).check().unwrap();
    assert_eq!(checked.group.probe, ProbeKind::Tcp(PortRef::Number(5432)));
}

#[test]
fn what_later_versions_build_is_refused_by_name() {
    for (change, field) in [
        (json!({"detect": {"probe": {"grpc": {"port": 1}}}}), "spec.detect.probe.grpc"),
        (json!({"adoptService": true}), "spec.adoptService"),
    ] {
        let error = refused(change);
        assert_eq!(error.field, field);
        assert!(error.problem.contains("this version"), "{error}");
        assert_eq!(error.remedy, "remove it");
    }
}

#[test]
fn what_the_schema_refuses_is_refused_here_too() {
    let delay = json!({"policy": "AfterDelay", "delay": "100ms"});
    for (change, field) in [
        (json!({"election": {"lease": {"name": "x"}}}), "spec.election.lease"),
        (json!({"election": {"mode": "Pods"}}), "spec.election.lease"),
        (json!({"election": {"mode": "External", "lease": {"name": ""}}}), "spec.election.lease"),
        (
            json!({"election": {"mode": "Pods", "lease": {"name": "x", "holder": "{pod}*"}}}),
            "spec.election.lease.holder",
        ),
        (json!({"selector": {"matchLabels": {"a b": "c"}}}), "spec.selector.matchLabels"),
        (json!({"traffic": {"services": []}}), "spec.traffic.services"),
        (json!({"traffic": {"services": [{"name": "a"}, {"name": "a"}]}}), "spec.traffic.services"),
        (json!({"detect": {"probe": {}}}), "spec.detect.probe"),
        (
            json!({"detect": {"probe": {"tcpSocket": {"port": 1}, "httpGet": {"port": 1}}}}),
            "spec.detect.probe",
        ),
        (json!({"detect": {"probe": {"tcpSocket": {"port": 0}}}}), "spec.detect.probe.tcpSocket.port"),
        (json!({"detect": {"probe": {"httpGet": {"port": "-"}}}}), "spec.detect.probe.httpGet.port"),
        (
            json!({"detect": {"probe": {"httpGet": {"port": 1, "path": "x"}}}}),
            "spec.detect.probe.httpGet.path",
        ),
        (
            json!({"detect": {"probe": {"httpGet": {"port": 1, "path": "/a\r\nb"}}}}),
            "spec.detect.probe.httpGet.path",
        ),
        (
            json!({"detect": {"probe": {"httpGet": {"port": 1, "host": "a b"}}}}),
            "spec.detect.probe.httpGet.host",
        ),
        (
            json!({"detect": {"probe": {"httpGet": {"port": 1, "expectedStatus": 100}}}}),
            "spec.detect.probe.httpGet.expectedStatus",
        ),
        (json!({"detect": {"period": "1 s"}}), "spec.detect.period"),
        (json!({"detect": {"period": "10ms"}}), "spec.detect.period"),
        (json!({"detect": {"timeout": "fast"}}), "spec.detect.timeout"),
        (json!({"detect": {"period": "200ms"}}), "spec.detect.timeout"),
        (json!({"detect": {"failureThreshold": -1}}), "spec.detect.failureThreshold"),
        (json!({"detect": {"failureThreshold": 0}}), "spec.detect.failureThreshold"),
        (json!({"candidates": {"order": ["Name", "Name"]}}), "spec.candidates.order"),
        (json!({"failback": {"delay": "60s"}}), "spec.failback.delay"),
        (json!({"failback": {"policy": "AfterDelay"}}), "spec.failback.delay"),
        (json!({"failback": delay}), "spec.failback.delay"),
    ] {
        let text = change.to_string();
        assert_eq!(refused(change).field, field, "{text}");
    }
}

#[test]
fn roles_and_notices_are_refused_by_field() {
    let udp = json!({"port": 10001, "message": "Go"});
    let http = json!({"port": 80});
    let notify = |one: Value| json!({"notify": [{"udp": udp}, one]});
    let asking = json!({"matchExpressions": [{"key": "role", "operator": "Exists"}]});
    let word = |extra: Value| {
        let mut word = json!({"udp": udp, "acknowledge": true, "roles": ["Active", "Standby"]});
        merge(&mut word, extra);
        json!({"order": "Strict", "notify": [word]})
    };
    let strict = |election: Value| {
        let mut strict = word(json!({}));
        merge(&mut strict, json!({"election": election}));
        strict
    };
    for (change, field) in [
        (json!({"roleLabel": {"key": "a b"}}), "spec.roleLabel.key"),
        (json!({"roleLabel": {"key": "hotstandby.dev/member"}}), "spec.roleLabel.key"),
        (json!({"roleLabel": {"key": "role", "active": "a b"}}), "spec.roleLabel.active"),
        (json!({"roleLabel": {"key": "role", "active": ""}}), "spec.roleLabel.active"),
        (json!({"roleLabel": {"key": "role", "standby": "-"}}), "spec.roleLabel.standby"),
        (json!({"roleLabel": {"key": "role", "standby": "active"}}), "spec.roleLabel"),
        (json!({"roleLabel": {"key": "app"}}), "spec.selector"),
        (json!({"roleLabel": {"key": "role"}, "selector": asking}), "spec.selector"),
        (
            json!({"detect": {"criticalContainers": {"deletePod": true}}}),
            "spec.detect.criticalContainers.deletePod",
        ),
        (notify(json!({})), "spec.notify[1]"),
        (notify(json!({"udp": udp, "http": http})), "spec.notify[1]"),
        (notify(json!({"udp": {"port": 0, "message": "x"}})), "spec.notify[1].udp.port"),
        (notify(json!({"udp": {"port": 1, "message": ""}})), "spec.notify[1].udp.message"),
        (notify(json!({"http": {"port": 70000}})), "spec.notify[1].http.port"),
        (notify(json!({"http": {"port": 80, "path": "/a b"}})), "spec.notify[1].http.path"),
        (notify(json!({"http": {"port": 80, "path": "role"}})), "spec.notify[1].http.path"),
        (notify(json!({"http": http, "roles": []})), "spec.notify[1].roles"),
        (notify(json!({"http": http, "interval": "10ms"})), "spec.notify[1].interval"),
        (notify(json!({"http": http, "timeout": "2m"})), "spec.notify[1].timeout"),
        (notify(json!({"http": http, "deadline": "2h"})), "spec.notify[1].deadline"),
        (notify(json!({"http": http, "deadline": "soon"})), "spec.notify[1].deadline"),
        (json!({"order": "Strict"}), "spec.order"),
        (word(json!({"roles": ["Active"]})), "spec.order"),
        (word(json!({"acknowledge": false})), "spec.order"),
        (strict(json!({"mode": "External", "lease": {"name": "lock"}})), "spec.order"),
    ] {
        let text = change.to_string();
        assert_eq!(refused(change).field, field, "{text}");
    }
    assert!(spec(strict(json!({"mode": "Controller"}))).check().is_ok());
}

#[test]
fn elections_of_others_arrive_and_nothing_is_asked_of_them_that_they_cannot_do() {
    let election = json!({"mode": "External", "lease": {"name": "lock", "holder": "{node}"}});
    let checked = spec(json!({"election": election})).check().unwrap();
    let follow = core::FollowSpec {
        by: core::Electors::External,
        lease: "lock".into(),
        holder: HolderNames::parse("{node}").unwrap(),
    };
    assert_eq!(checked.group.followed(), Some(&follow));
    let usual = spec(json!({"election": {"mode": "Pods", "lease": {"name": "lock"}}})).check().unwrap();
    assert_eq!(usual.group.followed().unwrap().holder, HolderNames::default());
    for (change, field) in [
        (json!({"failback": {"policy": "AfterDelay", "delay": "60s"}}), "spec.failback"),
        (json!({"candidates": {"preferNodes": {"matchLabels": {"a": "b"}}}}), "spec.candidates.preferNodes"),
    ] {
        let mut both = json!({"election": election});
        merge(&mut both, change);
        assert_eq!(refused(both).field, field);
    }
}

#[test]
fn empty_selector_is_refused() {
    let spec: ActiveStandbySpec =
        serde_json::from_value(json!({"selector": {}, "traffic": {"services": [{"name": "a"}]}})).unwrap();
    assert_eq!(spec.check().unwrap_err().field, "spec.selector");
}
