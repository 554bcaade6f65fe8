//! Groups that annotated Services make: the real controller, in a process of its own, on the modelled API server.

// Helpers of tests may fail as tests do.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use hotstandby_cluster::api::ActiveStandby;
use hotstandby_demo::roles;
use hotstandby_sim::{ApiServer, Handle, Serving, SystemClock, serve};
use kube::Api;
use kube::api::DeleteParams;
use serde_json::{Value, json};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(30);
const SLICES: (&str, &str) = ("discovery.k8s.io", "endpointslices");
const LEASES: (&str, &str) = ("coordination.k8s.io", "leases");

/// A control plane with pods `web-0` and `web-1`, each a port that accepts.
struct Stage {
    handle: Handle,
    serving: Serving,
    folder: PathBuf,
    controller: Option<Child>,
    port: u16,
    _pods: Vec<TcpListener>,
}

impl Stage {
    async fn new(name: &str) -> Self {
        let mut server = ApiServer::new(Arc::new(SystemClock), 7);
        server.allow_loopback();
        let crd = serde_json::to_value(hotstandby_cluster::api::crd()).unwrap();
        server.apply_object("apiextensions.k8s.io", "v1", "customresourcedefinitions", &crd).unwrap();
        for namespace in ["shop", "hs"] {
            server.apply_object("", "v1", "namespaces", &json!({"metadata": {"name": namespace}})).unwrap();
        }
        let handle = Handle::new(server);
        let serving = serve(&handle, "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let folder = std::env::temp_dir().join(format!("annotated-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("kubeconfig"), serving.kubeconfig()).unwrap();
        let program = folder.join(roles::HOTSTANDBY);
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_demo"), &program).unwrap();
        let first = TcpListener::bind("127.0.0.11:0").unwrap();
        let port = first.local_addr().unwrap().port();
        let pods = vec![first, TcpListener::bind(("127.0.0.12", port)).unwrap()];
        let stage = Self { handle, serving, folder, controller: None, port, _pods: pods };
        for (name, ip) in [("web-0", "127.0.0.11"), ("web-1", "127.0.0.12")] {
            stage.put("", "v1", "pods", &stage.pod(name, ip));
        }
        stage
    }

    fn pod(&self, name: &str, ip: &str) -> Value {
        json!({
            "metadata": {"name": name, "namespace": "shop", "labels": {"app": "web"}},
            "spec": {"nodeName": "n1", "containers": [{
                "name": "a", "image": "x:1", "ports": [{"name": "http", "containerPort": self.port}],
            }]},
            "status": {
                "phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}],
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        })
    }

    fn put(&self, group: &str, version: &str, plural: &str, object: &Value) {
        self.handle.with(|server| server.apply_object(group, version, plural, object)).unwrap();
    }

    /// A Service without selector, with these annotations.
    fn service(&self, name: &str, annotations: &Value) {
        let service = json!({
            "metadata": {"name": name, "namespace": "shop", "annotations": annotations},
            "spec": {"ports": [{"port": 80, "targetPort": "http"}]},
        });
        self.put("", "v1", "services", &service);
    }

    fn start(&mut self) {
        let admin = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let log = std::fs::File::create(self.folder.join("log")).unwrap();
        let mut command = Command::new(self.folder.join(roles::HOTSTANDBY));
        command.arg("controller").arg("--kubeconfig").arg(self.folder.join("kubeconfig"));
        command.args(["--identity", "a", "--seat-namespace", "hs", "--namespace", "shop"]);
        command.arg("--admin-address").arg(admin.to_string());
        for name in ["POD_NAME", "POD_NAMESPACE", "NODE_NAME", "KUBECONFIG"] {
            command.env_remove(name);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        self.controller = Some(child);
    }

    fn stop(&mut self) {
        if let Some(mut child) = self.controller.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    fn objects(&self, (group, plural): (&str, &str)) -> Vec<Value> {
        let objects = self.handle.with(|server| server.objects(group, plural));
        objects.iter().map(|object| Value::clone(object)).collect()
    }

    /// Slices by name, and whom they lead to.
    fn slices(&self) -> Vec<(String, Option<String>)> {
        let pod = |slice: &Value| slice["endpoints"][0]["targetRef"]["name"].as_str().map(str::to_owned);
        let name = |slice: &Value| slice["metadata"]["name"].as_str().unwrap().to_owned();
        let mut slices: Vec<_> = self.objects(SLICES).iter().map(|slice| (name(slice), pod(slice))).collect();
        slices.sort();
        slices
    }

    fn seats(&self) -> Vec<String> {
        let name = |lease: &Value| lease["metadata"]["name"].as_str().unwrap().to_owned();
        let mut seats: Vec<_> = self.objects(LEASES).iter().map(name).collect();
        seats.sort();
        seats
    }

    fn events(&self, reason: &str) -> Vec<Value> {
        let all = self.objects(("events.k8s.io", "events"));
        all.into_iter().filter(|event| event["reason"] == reason).collect()
    }

    async fn until<T>(&self, what: &str, mut find: impl FnMut(&Self) -> Option<T>) -> T {
        let until = Instant::now() + LIMIT;
        loop {
            if let Some(found) = find(self) {
                return found;
            }
            let log = || std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(
                Instant::now() < until,
                "waited in vain for {what}: {:?} {:?}\n{}",
                self.slices(),
                self.seats(),
                log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until a Service leads to one pod, and gives back which.
    async fn served(&self, service: &str) -> String {
        let name = format!("{service}-hotstandby-ipv4");
        let find = |stage: &Self| stage.slices().into_iter().find(|(slice, _)| *slice == name)?.1;
        self.until(&format!("Service {service} to lead to a pod"), find).await
    }

    async fn until_nothing_is_left(&self) {
        let empty = |stage: &Self| (stage.slices().is_empty() && stage.seats().is_empty()).then_some(());
        self.until("seat and slices to go", empty).await;
    }

    /// Writes to objects that are the user's.
    fn writes_to_others(&self) -> Vec<String> {
        let ours = ["endpointslices", "leases", "events", "selfsubjectaccessreviews"];
        let writes = self.handle.audit().into_iter().filter(|entry| {
            !["get", "list", "watch"].contains(&entry.request.verb)
                && !ours.contains(&entry.request.resource.as_str())
        });
        writes.map(|entry| format!("{} {}", entry.request.verb, entry.request.resource)).collect()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stop();
        // Nobody is left who could be told.
        let _ = std::fs::remove_dir_all(&self.folder);
        let _ = &self.serving;
    }
}

fn one_line() -> Value {
    json!({"hotstandby.dev/mode": "active-standby", "hotstandby.dev/selector": "app=web"})
}

#[tokio::test(flavor = "multi_thread")]
async fn one_line_leads_a_service_and_without_it_nothing_is_left() {
    let mut stage = Stage::new("one-line").await;
    stage.service("web", &one_line());
    stage.start();
    let first = stage.served("web").await;
    assert_eq!(stage.seats(), ["svc.shop.web"]);
    let told = stage.until("an Event", |stage| stage.events("Initial").pop()).await;
    assert_eq!(
        (&told["involvedObject"]["kind"], &told["involvedObject"]["name"]),
        (&json!("Service"), &json!("web"))
    );

    // A planned move, asked for on the Service, and one that names a term long over: void, and told.
    let term = stage.objects(LEASES)[0]["spec"]["leaseTransitions"].as_u64().unwrap();
    let mut asking = one_line();
    asking["hotstandby.dev/switchover"] = json!(format!("term={term}"));
    stage.service("web", &asking);
    stage.until("the other pod", |stage| stage.slices()[0].1.clone().filter(|pod| *pod != first)).await;
    asking["hotstandby.dev/switchover"] = json!(format!("term={},id=again", term - 1));
    stage.service("web", &asking);
    let void = stage.until("an answer", |stage| stage.events("SwitchoverVoid").pop()).await;
    assert!(void["message"].as_str().unwrap().contains("id=again"), "{void}");

    stage.service("web", &json!({}));
    stage.until_nothing_is_left().await;
    assert_eq!(stage.writes_to_others(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_with_a_selector_is_led_by_it_and_gets_it_back() {
    let mut stage = Stage::new("selector").await;
    let own = json!({"app": "web"});
    let service = |annotations: Value| {
        json!({
            "metadata": {"name": "web", "namespace": "shop", "annotations": annotations},
            "spec": {"ports": [{"port": 80, "targetPort": "http"}], "selector": own},
        })
    };
    stage.put("", "v1", "services", &service(json!({"qoqo.dev/service-mode": "active-standby"})));
    stage.start();
    let selector = |stage: &Stage| stage.objects(("", "services"))[0]["spec"]["selector"].clone();
    let labels = |stage: &Stage, key: &str| {
        let pods = stage.objects(("", "pods"));
        let value = |pod: &Value| pod["metadata"]["labels"][key].as_str().map(str::to_owned);
        pods.iter().filter_map(value).collect::<Vec<_>>()
    };
    let led = |stage: &Stage| {
        let selector = selector(stage);
        let settled = selector["qoqo.dev/pod-designation"] == "active" && selector["app"] == "web";
        settled.then(|| selector["hotstandby.dev/member"].as_str().map(str::to_owned)).flatten()
    };
    let member = stage.until("the selector to name a member", led).await;
    assert_eq!(labels(&stage, "qoqo.dev/pod-designation"), ["active"]);
    assert!(labels(&stage, "hotstandby.dev/member").contains(&member), "and the member to be named so");
    assert_eq!((stage.seats(), stage.slices()), (vec!["svc.shop.web".to_owned()], Vec::new()));

    let mut off = stage.objects(("", "services"))[0].clone();
    off["metadata"]["annotations"].as_object_mut().unwrap().remove("qoqo.dev/service-mode");
    stage.put("", "v1", "services", &off);
    let clean = |stage: &Stage| {
        let labelled =
            ["qoqo.dev/pod-designation", "hotstandby.dev/member"].map(|key| labels(stage, key).len());
        (selector(stage) == own && labelled == [0, 0] && stage.seats().is_empty()).then_some(())
    };
    stage.until("selector and labels as they were", clean).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_switched_off_while_nobody_ran_is_removed_at_the_next_start() {
    let mut stage = Stage::new("restart").await;
    stage.service("web", &one_line());
    stage.start();
    stage.served("web").await;
    stage.stop();
    stage.service("web", &json!({}));
    assert_eq!((stage.seats().len(), stage.slices().len()), (1, 1));
    stage.start();
    stage.until_nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slip_of_the_pen_is_told_once_and_nothing_is_written() {
    let mut stage = Stage::new("slip").await;
    stage.service(
        "web",
        &json!({"hotstandby.dev/mode": "active-standby", "hotstandby.dev/selector": "app in web"}),
    );
    stage.start();
    let told = stage.until("an Event", |stage| stage.events("InvalidSpec").pop()).await;
    let note = told["message"].as_str().unwrap();
    assert!(
        note.contains("metadata.annotations[hotstandby.dev/selector]") && note.contains("kubectl -l"),
        "{note}"
    );
    assert_eq!(told["type"], "Warning");
    stage.service("web", &one_line());
    stage.served("web").await;
    assert_eq!(stage.events("InvalidSpec").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_changes_hands_leads_to_the_same_pod_all_the_while() {
    let mut stage = Stage::new("hands").await;
    stage.service("old", &one_line());
    stage.start();
    stage.served("old").await;
    stage.service("young", &one_line());
    let pod = stage.served("young").await;
    assert_eq!(stage.seats(), ["svc.shop.old"], "they agree, and one seat says on whom");
    let uid = |stage: &Stage| {
        let slices = stage.objects(SLICES);
        let of_young = slices.iter().find(|slice| slice["metadata"]["name"] == "young-hotstandby-ipv4");
        of_young.map(|slice| (slice["metadata"]["uid"].clone(), slice["endpoints"].clone()))
    };
    let before = uid(&stage).unwrap();

    // The oldest goes: the younger one's group is called after itself from now on.
    stage.service("old", &json!({}));
    let alone =
        |stage: &Stage| (stage.seats() == ["svc.shop.young"] && stage.slices().len() == 1).then_some(());
    stage.until("the younger Service's own seat", alone).await;
    assert_eq!(uid(&stage).unwrap(), before, "the slice was written over, not made anew");

    // An ActiveStandby takes it.
    let group = json!({
        "apiVersion": "hotstandby.dev/v1alpha1", "kind": "ActiveStandby", "metadata": {"name": "mine", "namespace": "shop"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "traffic": {"services": [{"name": "young"}]}},
    });
    stage.put("hotstandby.dev", "v1alpha1", "activestandbies", &group);
    stage.until("the ActiveStandby's seat", |stage| (stage.seats() == ["cr.shop.mine"]).then_some(())).await;
    let told = stage.until("an Event", |stage| stage.events("ServiceClaimed").pop()).await;
    assert!(told["message"].as_str().unwrap().contains("ActiveStandby mine"), "{told}");
    assert_eq!(uid(&stage).unwrap(), before);

    // And gives it back.
    let groups: Api<ActiveStandby> = Api::namespaced(stage.handle.client("shop"), "shop");
    groups.delete("mine", &DeleteParams::default()).await.unwrap();
    stage.until("the Service's seat", |stage| (stage.seats() == ["svc.shop.young"]).then_some(())).await;
    assert_eq!(stage.served("young").await, pod);
    assert_eq!(uid(&stage).unwrap(), before);
}
