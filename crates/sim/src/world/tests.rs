//! Tests of the world, named after what would make it useless.

use super::api::{PODS, has_ended, is_going, is_true, name_of, namespace_of, uid_of};
use super::*;
use crate::json::{at, items, text};
use crate::{Clock as _, Handle, ManualClock, Reply, Request, SystemClock};
use http::Method;
use serde_json::{Value, json};
use std::sync::Arc;

const START_MS: i64 = 1_767_225_600_000;

struct Scene {
    server: ApiServer,
    clock: ManualClock,
    world: World,
    due: Option<i64>,
}

impl Scene {
    fn new() -> Self {
        let clock = ManualClock::new(START_MS);
        let server = ApiServer::new(Arc::new(clock.clone()), 7);
        let world = World::new(WorldConfig::default(), Box::new(Idle::default()));
        let mut scene = Self { server, clock, world, due: None };
        scene.step();
        scene
    }

    fn step(&mut self) {
        self.due = self.world.step(&mut self.server);
    }

    /// Lets time go by, with a step whenever one is due.
    fn pass(&mut self, time: Duration) {
        let end = self.clock.unix_ms() + ms(time);
        self.step();
        while let Some(due) = self.due.filter(|due| *due <= end) {
            assert!(due > self.clock.unix_ms(), "what is due is done: {:?}", self.world);
            self.clock.set(due);
            self.step();
        }
        self.clock.set(end);
        self.step();
    }

    fn call(&mut self, method: Method, path: &str, body: &Value) -> Value {
        let mut request = Request::new(method, path).with_body(body);
        if request.method == Method::PATCH {
            request = request.with_type("application/merge-patch+json");
        }
        match self.server.handle(&request) {
            Reply::Json(answer) if answer.code < 300 => answer.body,
            other => panic!("{path}: {other:?}"),
        }
    }

    fn workload(&mut self, plural: &str, replicas: usize, change: &Value) -> Value {
        let kind = if plural == "deployments" { "Deployment" } else { "StatefulSet" };
        let mut object = json!({
            "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "web"},
            "spec": {
                "replicas": replicas, "selector": {"matchLabels": {"app": "web"}},
                "template": {
                    "metadata": {"labels": {"app": "web"}},
                    "spec": {"containers": [{"name": "app", "image": "app:1"}]},
                },
            },
        });
        for (key, value) in change.as_object().into_iter().flatten() {
            object["spec"][key] = value.clone();
        }
        self.call(Method::POST, &format!("/apis/apps/v1/namespaces/default/{plural}"), &object)
    }

    fn pods(&self) -> Vec<Arc<Value>> {
        PODS.all(&self.server)
    }

    fn ready(&self) -> usize {
        self.pods().iter().filter(|pod| is_true(pod, "Ready") && !is_going(pod)).count()
    }

    fn delete(&mut self, pod: &Value) {
        let path = format!("/api/v1/namespaces/{}/pods/{}", namespace_of(pod), name_of(pod));
        self.call(Method::DELETE, &path, &json!({}));
    }

    fn object(&self, plural: &str) -> Arc<Value> {
        self.server.object("apps", plural, "default", "web").unwrap()
    }
}

fn app_of(pod: &Value) -> ContainerKey {
    ContainerKey { uid: uid_of(pod).to_owned(), container: "app".to_owned() }
}

#[test]
fn pods_of_a_deployment_run_spread_over_the_nodes_with_addresses_of_their_own() {
    let mut scene = Scene::new();
    scene.workload("deployments", 3, &json!({}));
    scene.step();
    assert_eq!(scene.ready(), 0, "starting takes a second");
    scene.pass(Duration::from_secs(1));
    assert_eq!(scene.ready(), 3);
    let of = |path: &[&str]| -> std::collections::BTreeSet<String> {
        scene.pods().iter().map(|pod| text(pod, path).unwrap().to_owned()).collect()
    };
    assert_eq!(of(&["spec", "nodeName"]), ["n1", "n2", "n3"].map(str::to_owned).into());
    assert_eq!(of(&["status", "podIP"]).len(), 3);
    let status = &scene.object("deployments")["status"];
    assert_eq!((&status["readyReplicas"], &status["availableReplicas"]), (&json!(3), &json!(3)));
    assert_eq!(scene.world.refusals().count(), 0);
}

#[test]
fn the_same_seed_and_clock_give_the_same_world() {
    let run = || {
        let mut scene = Scene::new();
        scene.workload("deployments", 3, &json!({}));
        scene.pass(Duration::from_secs(5));
        let pod = scene.pods()[0].clone();
        scene.delete(&pod);
        scene.pass(Duration::from_secs(100));
        scene.pods().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

#[test]
fn a_world_at_rest_writes_heartbeats_and_nothing_else() {
    let mut scene = Scene::new();
    scene.workload("deployments", 3, &json!({}));
    scene.workload("statefulsets", 2, &json!({"selector": {"matchLabels": {"app": "web"}}}));
    scene.pass(Duration::from_secs(30));
    scene.server.clear_audit();
    scene.pass(Duration::from_mins(2));
    let writes: Vec<&str> = scene
        .server
        .audit()
        .filter(|entry| entry.request.is_write())
        .map(|entry| entry.request.resource.as_str())
        .collect();
    assert_eq!(writes.len(), 3 * 12);
    assert!(writes.iter().all(|resource| *resource == "leases"), "{writes:?}");
}

#[test]
fn a_deleted_pod_is_seen_terminating_before_it_goes_and_another_one_comes_at_once() {
    let mut scene = Scene::new();
    let template = json!({
        "metadata": {"labels": {"app": "web"}},
        "spec": {"terminationGracePeriodSeconds": 5, "containers": [{"name": "app", "image": "app:1"}]},
    });
    scene.workload("deployments", 2, &json!({"template": template}));
    scene.world.backend = Box::new(Stubborn);
    scene.pass(Duration::from_secs(2));
    let old = scene.pods()[0].clone();
    scene.delete(&old);
    scene.step();
    let there = scene.pods();
    assert_eq!(there.len(), 3, "its successor does not wait for its end");
    assert!(there.iter().any(|pod| uid_of(pod) == uid_of(&old) && is_going(pod) && is_true(pod, "Ready")));
    scene.pass(Duration::from_millis(4_900));
    assert_eq!(scene.pods().len(), 3);
    scene.pass(Duration::from_millis(100));
    assert!(scene.pods().iter().all(|pod| uid_of(pod) != uid_of(&old)));
    assert_eq!(scene.ready(), 2);
}

/// Containers that do not end when they are asked to.
struct Stubborn;

impl Backend for Stubborn {
    fn start(&mut self, _: &Launch) {}
    fn terminate(&mut self, _: &ContainerKey) {}
    fn kill(&mut self, _: &ContainerKey) {}
    fn ended(&mut self, _: &ContainerKey) -> Option<i32> {
        None
    }
    fn ready(&mut self, _: &ContainerKey) -> bool {
        true
    }
}

#[test]
fn a_container_that_ends_is_noticed_late_and_restarted_with_growing_waits() {
    let mut scene = Scene::new();
    scene.workload("deployments", 1, &json!({}));
    scene.pass(Duration::from_secs(2));
    let pod = scene.pods()[0].clone();
    let ip = text(&pod, &["status", "podIP"]).unwrap().to_owned();
    let end = |scene: &mut Scene| {
        let now = scene.clock.unix_ms();
        scene.world.end_container(&app_of(&pod), 3, now);
        scene.pass(Duration::from_millis(999));
        assert_eq!(scene.ready(), 1, "the kubelet has not looked yet");
        scene.pass(Duration::from_millis(1));
    };
    end(&mut scene);
    assert_eq!(scene.ready(), 1, "the first restart is at once");
    let status = scene.pods()[0]["status"]["containerStatuses"][0].clone();
    assert_eq!(
        (&status["restartCount"], &status["lastState"]["terminated"]["exitCode"]),
        (&json!(1), &json!(3))
    );
    end(&mut scene);
    assert_eq!(scene.ready(), 0);
    let status = scene.pods()[0]["status"]["containerStatuses"][0].clone();
    assert_eq!(status["state"]["waiting"]["reason"], "CrashLoopBackOff");
    scene.pass(Duration::from_millis(9_999));
    assert_eq!(scene.ready(), 0);
    scene.pass(Duration::from_millis(1));
    assert_eq!(scene.ready(), 1);
    end(&mut scene);
    scene.pass(Duration::from_millis(19_999));
    assert_eq!(scene.ready(), 0);
    scene.pass(Duration::from_millis(1));
    assert_eq!(scene.ready(), 1);
    assert_eq!(text(&scene.pods()[0], &["status", "podIP"]), Some(ip.as_str()), "it keeps its address");
}

#[test]
fn a_pod_that_ended_for_good_is_not_restarted() {
    let mut scene = Scene::new();
    let pod = json!({
        "metadata": {"name": "once"},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "app", "image": "app:1"}]},
    });
    scene.call(Method::POST, "/api/v1/namespaces/default/pods", &pod);
    scene.pass(Duration::from_secs(2));
    let pod = scene.pods()[0].clone();
    let now = scene.clock.unix_ms();
    scene.world.end_container(&app_of(&pod), 1, now);
    scene.pass(Duration::from_mins(10));
    assert_eq!(text(&scene.pods()[0], &["status", "phase"]), Some("Failed"));
    assert!(has_ended(&scene.pods()[0]));
}

#[test]
fn readiness_follows_the_order_of_a_test() {
    let mut scene = Scene::new();
    scene.workload("deployments", 2, &json!({}));
    scene.pass(Duration::from_secs(2));
    let uid = uid_of(&scene.pods()[0]).to_owned();
    scene.world.order_ready(&uid, Some(false));
    scene.step();
    assert_eq!(scene.ready(), 1);
    assert_eq!(scene.object("deployments")["status"]["unavailableReplicas"], 1);
    scene.world.order_ready(&uid, None);
    scene.step();
    assert_eq!(scene.ready(), 2);
}

#[test]
fn a_readiness_probe_is_asked_at_its_pace_and_believed_after_its_threshold() {
    struct Moody(Arc<std::sync::atomic::AtomicBool>);
    impl Backend for Moody {
        fn start(&mut self, _: &Launch) {}
        fn terminate(&mut self, _: &ContainerKey) {}
        fn kill(&mut self, _: &ContainerKey) {}
        fn ended(&mut self, _: &ContainerKey) -> Option<i32> {
            None
        }
        fn ready(&mut self, _: &ContainerKey) -> bool {
            self.0.load(std::sync::atomic::Ordering::Relaxed)
        }
    }
    let mut scene = Scene::new();
    let mood = Arc::new(std::sync::atomic::AtomicBool::new(true));
    scene.world.backend = Box::new(Moody(Arc::clone(&mood)));
    let probe = json!({"httpGet": {"port": 8080}, "periodSeconds": 2, "failureThreshold": 3});
    let template = json!({
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "app", "image": "app:1", "readinessProbe": probe}]},
    });
    scene.workload("deployments", 1, &json!({"template": template}));
    scene.pass(Duration::from_secs(1));
    assert_eq!(scene.ready(), 1);
    mood.store(false, std::sync::atomic::Ordering::Relaxed);
    scene.pass(Duration::from_secs(5));
    assert_eq!(scene.ready(), 1, "two failures are not three");
    scene.pass(Duration::from_secs(1));
    assert_eq!(scene.ready(), 0);
    mood.store(true, std::sync::atomic::Ordering::Relaxed);
    scene.pass(Duration::from_secs(2));
    assert_eq!(scene.ready(), 1);
}

#[test]
fn a_stateful_set_starts_in_order_and_never_has_two_pods_of_one_name() {
    let mut scene = Scene::new();
    scene.workload("statefulsets", 3, &json!({}));
    scene.step();
    assert_eq!(scene.pods().len(), 1, "one after the other");
    scene.pass(Duration::from_secs(3));
    assert_eq!(scene.ready(), 3);
    scene.world.backend = Box::new(Stubborn);
    let old = scene.pods()[1].clone();
    scene.delete(&old);
    scene.pass(Duration::from_secs(29));
    let there: Vec<Arc<Value>> = scene.pods().into_iter().filter(|pod| name_of(pod) == "web-1").collect();
    assert_eq!((there.len(), uid_of(&there[0])), (1, uid_of(&old)));
    scene.pass(Duration::from_secs(2));
    assert_eq!(scene.ready(), 3);
    assert!(scene.pods().iter().all(|pod| uid_of(pod) != uid_of(&old)));
    let scale = json!({"spec": {"replicas": 1}});
    scene.call(Method::PATCH, "/apis/apps/v1/namespaces/default/statefulsets/web", &scale);
    scene.pass(Duration::from_mins(2));
    assert_eq!(scene.pods().len(), 1);
}

#[test]
fn a_rolling_update_keeps_enough_pods_ready_and_ends_with_the_new_template() {
    for (plural, replicas) in [("deployments", 4), ("statefulsets", 3)] {
        let mut scene = Scene::new();
        scene.workload(plural, replicas, &json!({}));
        scene.pass(Duration::from_secs(10));
        let before = scene.object(plural);
        let image = json!([{"name": "app", "image": "app:2"}]);
        let change = json!({"spec": {"template": {"spec": {"containers": image}}}});
        scene.call(Method::PATCH, &format!("/apis/apps/v1/namespaces/default/{plural}/web"), &change);
        let mut fewest = replicas;
        for _ in 0..200 {
            scene.pass(Duration::from_millis(100));
            fewest = fewest.min(scene.ready());
        }
        assert!(fewest >= replicas - 1, "{plural}: {fewest}");
        let images: Vec<Value> =
            scene.pods().iter().map(|pod| items(pod, &["spec", "containers"])[0]["image"].clone()).collect();
        assert_eq!(images, vec![json!("app:2"); replicas], "{plural}");
        let after = scene.object(plural);
        assert_eq!(after["status"]["updatedReplicas"], json!(replicas));
        let revision = |object: &Value| match plural {
            "deployments" => {
                at(object, &["metadata", "annotations", "deployment.kubernetes.io/revision"]).clone()
            }
            _ => object["status"]["updateRevision"].clone(),
        };
        assert_ne!(revision(&before), revision(&after), "{plural}");
    }
}

#[test]
fn a_drained_node_gets_nothing_until_it_is_uncordoned() {
    let mut scene = Scene::new();
    scene.workload("deployments", 3, &json!({}));
    scene.pass(Duration::from_secs(2));
    scene.world.drain(&mut scene.server, "n2");
    scene.pass(Duration::from_secs(3));
    let on = |scene: &Scene, node: &str| {
        scene.pods().iter().filter(|pod| text(pod, &["spec", "nodeName"]) == Some(node)).count()
    };
    assert_eq!((scene.ready(), on(&scene, "n2")), (3, 0));
    scene.world.cordon(&mut scene.server, "n2", false);
    let pod = scene.pods()[0].clone();
    scene.delete(&pod);
    scene.pass(Duration::from_secs(3));
    assert_eq!((scene.ready(), on(&scene, "n2")), (3, 1));
}

#[test]
fn a_silent_node_is_marked_after_its_grace_and_what_runs_there_runs_on() {
    let mut scene = Scene::new();
    scene.workload("statefulsets", 3, &json!({"podManagementPolicy": "Parallel"}));
    scene.pass(Duration::from_secs(2));
    let pod = scene.pods()[0].clone();
    let node = text(&pod, &["spec", "nodeName"]).unwrap().to_owned();
    let now = scene.clock.unix_ms();
    scene.world.set_node(&node, NodeState::CutOff, now);
    scene.pass(Duration::from_secs(29));
    assert_eq!(scene.ready(), 3);
    scene.pass(Duration::from_secs(11));
    assert_eq!(scene.ready(), 2);
    scene.pass(Duration::from_secs(301));
    let there = scene.pods().into_iter().find(|one| uid_of(one) == uid_of(&pod)).expect("nobody can end it");
    assert!(is_going(&there), "it was evicted after its five minutes");
    assert_eq!(scene.world.running_on(&node), [uid_of(&pod)]);
    // By force: its successor runs beside it.
    let path = format!("/api/v1/namespaces/default/pods/{}", name_of(&pod));
    scene.call(Method::DELETE, &path, &json!({"gracePeriodSeconds": 0}));
    scene.pass(Duration::from_secs(2));
    assert_eq!(scene.ready(), 3);
    assert_eq!(scene.world.running_on(&node), [uid_of(&pod)]);
    let now = scene.clock.unix_ms();
    scene.world.set_node(&node, NodeState::Up, now);
    scene.step();
    assert!(scene.world.running_on(&node).is_empty(), "back again, it hears that the pod is gone");
}

#[test]
fn a_node_that_lost_power_starts_its_pods_anew() {
    let mut scene = Scene::new();
    scene.workload("deployments", 3, &json!({}));
    scene.pass(Duration::from_secs(2));
    let now = scene.clock.unix_ms();
    scene.world.set_node("n1", NodeState::Off, now);
    assert!(scene.world.running_on("n1").is_empty());
    scene.pass(Duration::from_mins(1));
    assert_eq!(scene.ready(), 2);
    let now = scene.clock.unix_ms();
    scene.world.set_node("n1", NodeState::Up, now);
    scene.pass(Duration::from_secs(2));
    assert_eq!((scene.ready(), scene.world.running_on("n1").len()), (3, 1));
}

#[test]
fn a_removed_workload_takes_its_pods_along() {
    let mut scene = Scene::new();
    scene.workload("deployments", 2, &json!({}));
    scene.pass(Duration::from_secs(2));
    scene.call(Method::DELETE, "/apis/apps/v1/namespaces/default/deployments/web", &json!({}));
    scene.pass(Duration::from_secs(31));
    assert_eq!(scene.pods().len(), 0);
    assert!(scene.server.objects("apps", "replicasets").is_empty());
}

#[tokio::test]
async fn a_driven_world_follows_in_real_time() {
    let handle = Handle::new(ApiServer::new(Arc::new(SystemClock), 1));
    let pace = Pace { start: Duration::from_millis(10), ..Pace::default() };
    let world = World::new(WorldConfig { pace, ..WorldConfig::default() }, Box::new(Idle::default()));
    let driver = Driver::start(&handle, world, Nudge::default());
    let pod = json!({"metadata": {"name": "a", "namespace": "default"}, "spec": {"containers": [{"name": "app", "image": "x"}]}});
    let mut seen = handle.with(|server| server.version());
    handle.with(|server| server.apply_object("", "v1", "pods", &pod)).unwrap();
    let ready = || {
        driver.with(|_, server| PODS.one(server, "default", "a").is_some_and(|pod| is_true(&pod, "Ready")))
    };
    while !ready() {
        seen = tokio::time::timeout(Duration::from_secs(10), handle.changed_after(seen)).await.unwrap();
    }
}

#[test]
fn loopback_addresses_are_refused_unless_a_demo_wants_them() {
    let mut server = ApiServer::new(Arc::new(ManualClock::new(START_MS)), 7);
    let slice = json!({
        "metadata": {"name": "a", "namespace": "default"}, "addressType": "IPv4",
        "endpoints": [{"addresses": ["127.0.0.2"]}],
    });
    let put =
        |server: &mut ApiServer| server.apply_object("discovery.k8s.io", "v1", "endpointslices", &slice);
    let refused = put(&mut server).unwrap_err();
    assert_eq!(refused.code, 422);
    assert!(refused.message.contains("loopback range"), "{}", refused.message);
    server.allow_loopback();
    assert!(put(&mut server).is_ok());
}
