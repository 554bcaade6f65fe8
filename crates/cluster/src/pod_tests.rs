//! What is kept of a pod, and how a group sees it.

use super::*;
use crate::api::{CriticalContainers, LabelSelector, Selector};
use serde_json::{Value, json};
use std::collections::HashMap;

fn pod(change: Value) -> PodLite {
    let mut pod = json!({
        "metadata": {
            "name": "web-1", "namespace": "shop", "uid": "u1", "resourceVersion": "5",
            "labels": {"app": "web", "pod-template-hash": "abc"},
            "annotations": {},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-abc", "uid": "r", "controller": true}],
            "managedFields": [{"manager": "x", "fieldsV1": {"f:a": {}}}],
        },
        "spec": {"nodeName": "n1", "containers": [{"name": "main", "ports": [{"name": "http", "containerPort": 8080}]}]},
        "status": {
            "phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}],
            "startTime": "2026-11-21T00:00:00Z",
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-21T00:00:01Z"}],
        },
    });
    merge(&mut pod, change);
    let wire: WirePod = serde_json::from_value(pod).unwrap();
    assert!(wire.metadata.managed_fields.is_none());
    PodLite::new(&wire, &mut Interner::default()).unwrap()
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

fn lens(critical: CriticalContainers) -> Lens {
    let labels = BTreeMap::from([("app".to_owned(), "web".to_owned())]);
    let selector = LabelSelector { match_labels: labels, ..LabelSelector::default() };
    Lens {
        selector: Some(Arc::new(Selector::new(&selector, "spec.selector").unwrap())),
        critical: Arc::new(critical),
        led: Arc::from(["role".into()]),
        owners: Owners {
            replica_sets: HashMap::from([("web-abc".into(), 4)]),
            stateful_sets: HashMap::from([("web".into(), "rev-2".into())]),
        },
        rivals: Vec::new(),
    }
}

fn critical() -> CriticalContainers {
    CriticalContainers { names: vec!["main".into()], env: Some(("crit".into(), "yes".into())) }
}

#[test]
fn a_member_is_what_the_pod_says() {
    let view = to_member_view(&pod(json!({})), &lens(CriticalContainers::default()));
    assert_eq!(
        (&*view.name, view.phase, view.ready, view.terminating),
        ("web-1", Phase::Running, true, false)
    );
    assert_eq!(view.ips, ["10.0.0.1".parse::<IpAddr>().unwrap(), "fd00::1".parse().unwrap()]);
    assert_eq!((view.started_ms, view.ready_turned_ms), (Some(1_795_219_200_000), Some(1_795_219_201_000)));
    assert_eq!((view.revision, view.priority, view.mesh, view.selected), (4, 0, None, true));
    assert_eq!(view.named_ports.get("http"), Some(&8080));
}

#[test]
fn a_relabelled_or_dying_pod_shows_it() {
    let view = to_member_view(&pod(json!({"metadata": {"labels": {"app": "old"}}})), &lens(critical()));
    assert!(!view.selected);
    let dying = json!({"metadata": {"deletionTimestamp": "2026-11-21T00:00:00Z"}});
    assert!(to_member_view(&pod(dying), &lens(critical())).terminating);
}

#[test]
fn a_member_shows_the_led_labels_its_mark_and_whether_its_name_comes_back() {
    let led = json!({"metadata": {
        "labels": {"role": "active", "zone": "a"},
        "annotations": {
            "hotstandby.dev/controller": "one/c", "hotstandby.dev/seat-uid": "seat", "hotstandby.dev/term": "7",
            "hotstandby.dev/undo": r#"{"role":"standby"}"#,
        },
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web", "uid": "s", "controller": true}],
    }});
    let view = to_member_view(&pod(led), &lens(critical()));
    assert_eq!(view.labels, BTreeMap::from([("role".into(), "active".into())]));
    let mark = view.mark.unwrap();
    assert_eq!(
        (&*mark.controller, mark.stamp),
        ("one/c", Some(("seat".into(), hotstandby_core::ids::Term(7))))
    );
    assert_eq!(mark.undo, BTreeMap::from([("role".into(), Some("standby".into()))]));
    assert!(view.stateful);
    let plain = to_member_view(&pod(json!({})), &lens(critical()));
    assert_eq!((plain.labels.len(), plain.mark, plain.stateful), (0, None, false));
}

#[test]
fn nulls_and_nonsense_do_no_harm() {
    let odd = json!({
        "metadata": {"annotations": {"hotstandby.dev/priority": "high"}},
        "spec": {"containers": null}, "status": {"podIPs": null, "conditions": null, "containerStatuses": null},
    });
    let view = to_member_view(&pod(odd), &lens(critical()));
    assert_eq!((view.priority, view.ready), (0, false));
    assert_eq!(view.ips, ["10.0.0.1".parse::<IpAddr>().unwrap()]);
    assert_eq!(pod(json!({"metadata": {"annotations": {"hotstandby.dev/priority": "-3"}}})).priority, -3);
}

#[test]
fn a_stateful_sets_newest_revision_ranks_first() {
    let of_set = |hash: &str| {
        pod(json!({"metadata": {
            "labels": {"controller-revision-hash": hash},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web", "uid": "s", "controller": true}],
        }}))
    };
    assert_eq!(to_member_view(&of_set("rev-2"), &lens(critical())).revision, 1);
    assert_eq!(to_member_view(&of_set("rev-1"), &lens(critical())).revision, 0);
}

#[test]
fn meshes_are_known_by_container_and_by_annotation() {
    let native = json!({"spec": {"initContainers": [{"name": "istio-proxy", "restartPolicy": "Always"}]}});
    assert_eq!(pod(native).template.mesh, Some("istio"));
    let init = json!({"spec": {"initContainers": [{"name": "istio-proxy"}]}});
    assert_eq!(pod(init).template.mesh, None);
    let classic = json!({"spec": {"containers": [{"name": "main"}, {"name": "linkerd-proxy"}]}});
    assert_eq!(pod(classic).template.mesh, Some("linkerd"));
    let annotated = json!({"metadata": {"annotations": {"sidecar.istio.io/status": "{}"}}});
    assert_eq!(pod(annotated).template.mesh, Some("istio"));
}

#[test]
fn a_critical_end_is_seen_although_the_kubelet_restarted_it() {
    let restarted = json!({"status": {"containerStatuses": [{
        "name": "main", "state": {"running": {}},
        "lastState": {"terminated": {"containerID": "containerd://1", "finishedAt": "2026-11-21T00:00:00Z"}},
    }]}});
    let view = to_member_view(&pod(restarted.clone()), &lens(critical()));
    assert_eq!(view.critical_terminated.as_deref(), Some("main/containerd://1"));
    assert_eq!(
        to_member_view(&pod(restarted), &lens(CriticalContainers::default())).critical_terminated,
        None
    );
    let down = json!({"status": {"containerStatuses": [{
        "name": "main", "state": {"terminated": {"containerID": "containerd://2"}},
        "lastState": {"terminated": {"containerID": "containerd://1"}},
    }]}});
    let view = to_member_view(&pod(down), &lens(critical()));
    assert_eq!(view.critical_terminated.as_deref(), Some("main/containerd://2"));
}

#[test]
fn only_critical_containers_count_and_the_newest_end_of_them() {
    let ended = |name: &str, id: &str, at: &str| json!({"name": name, "lastState": {"terminated": {"containerID": id, "finishedAt": at}}});
    let pod = pod(json!({
        "spec": {
            "containers": [
                {"name": "main"}, {"name": "helper"},
                {"name": "marked", "env": [{"name": "crit", "value": "yes"}, {"name": "x", "valueFrom": {}}]},
            ],
            "initContainers": [{"name": "setup"}],
        },
        "status": {
            "containerStatuses": [
                ended("main", "a", "2026-11-21T00:00:00Z"),
                ended("helper", "b", "2026-11-21T00:00:09Z"),
                ended("marked", "c", "2026-11-21T00:00:05Z"),
            ],
            "initContainerStatuses": [ended("setup", "d", "2026-11-21T00:00:07Z")],
        },
    }));
    let view = to_member_view(&pod, &lens(critical()));
    assert_eq!(view.critical_terminated.as_deref(), Some("marked/c"));
}

#[test]
fn equal_labels_are_kept_once() {
    let mut interner = Interner::default();
    let labels = BTreeMap::from([("app".to_owned(), "web".to_owned())]);
    let (one, other) = (interner.labels(Some(&labels)), interner.labels(Some(&labels)));
    assert!(Arc::ptr_eq(&one, &other));
    assert_eq!(one.get("app"), Some("web"));
    assert_eq!(one.get("no"), None);
}

#[test]
fn ids_come_back_as_they_were() {
    for text in [
        "0d1c2b3a-1111-4222-8333-44445555aaaa",
        "0D1C2B3A-1111-4222-8333-44445555AAAA",
        "u1",
        "",
        "0d1c2b3a111142228333444455556666",
    ] {
        assert_eq!(SmallUid::new(text).to_uid(), text.into());
    }
    for text in ["0", "17", "007", "+5", "x", "18446744073709551616", ""] {
        assert_eq!(SmallRv::new(text).to_rv(), text.into());
    }
    assert!(std::mem::size_of::<PodLite>() <= 152, "{}", std::mem::size_of::<PodLite>());
}

/// A pod of which these containers are not ready, and those in `ended` because they ended.
fn half_ready(reason: &str, unready: &[&str], ended: &[&str]) -> PodLite {
    let containers = ["main", "helper"].map(|name| json!({"name": name}));
    let statuses = ["main", "helper"].map(|name| {
        let ready = !unready.contains(&name);
        let state = if ended.contains(&name) {
            json!({"terminated": {"exitCode": 1, "containerID": "c", "finishedAt": "2026-11-21T00:01:00Z"}})
        } else {
            json!({"running": {}})
        };
        json!({"name": name, "ready": ready, "state": state})
    });
    pod(json!({
        "spec": {"containers": containers},
        "status": {
            "conditions": [{"type": "Ready", "status": "False", "reason": reason}],
            "containerStatuses": statuses,
        },
    }))
}

#[test]
fn an_end_of_a_helper_is_no_end_of_a_pod_whose_critical_containers_are_named() {
    let ready = |pod: &PodLite, critical| to_member_view(pod, &lens(critical)).ready;
    let helper = half_ready("ContainersNotReady", &["helper"], &["helper"]);
    assert!(ready(&helper, critical()), "others may end");
    assert!(!ready(&helper, CriticalContainers::default()), "nobody said that they may");
    let main = half_ready("ContainersNotReady", &["main"], &["main"]);
    assert!(!ready(&main, critical()), "the critical one did");
    let both = half_ready("ContainersNotReady", &["main", "helper"], &["helper"]);
    assert!(!ready(&both, critical()), "the critical one is not ready");
    let probe = half_ready("ContainersNotReady", &["helper"], &[]);
    assert!(!ready(&probe, critical()), "it runs, and says itself that it is not ready");
    // Not the kubelet's words, or of something else: a readiness gate, a node that is lost.
    for reason in ["", "ReadinessGatesNotReady"] {
        assert!(!ready(&half_ready(reason, &["helper"], &["helper"]), critical()), "{reason:?}");
    }
}
