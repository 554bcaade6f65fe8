//! A server, and the program run against it.

use hotstandby_sim::{ApiServer, Handle, ManualClock, Serving, serve};
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// 2026-01-01T00:00:00Z.
const START_MS: i64 = 1_767_225_600_000;

/// A cluster with the kind and the namespaces `shop` and `hotstandby-system`.
pub(crate) struct Cluster {
    pub(crate) handle: Handle,
    kubeconfig: PathBuf,
    _serving: Serving,
}

/// What a command did.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let mut server = ApiServer::new(Arc::new(ManualClock::new(START_MS)), 7);
        let crd = serde_json::to_value(hotstandby_cluster::api::crd()).unwrap();
        server.apply_object("apiextensions.k8s.io", "v1", "customresourcedefinitions", &crd).unwrap();
        for name in ["shop", "hotstandby-system"] {
            server.apply_object("", "v1", "namespaces", &json!({"metadata": {"name": name}})).unwrap();
        }
        let handle = Handle::new(server);
        let serving = serve(&handle, "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let kubeconfig = std::env::temp_dir().join(format!("hotstandby-cli-{}-{number}", std::process::id()));
        std::fs::write(&kubeconfig, serving.kubeconfig()).unwrap();
        Self { handle, kubeconfig, _serving: serving }
    }

    pub(crate) fn put(&self, group: &str, version: &str, plural: &str, object: &Value) {
        self.handle.with(|server| server.apply_object(group, version, plural, object)).unwrap();
    }

    pub(crate) fn pod(&self, name: &str, labels: &Value) {
        let pod = json!({
            "metadata": {"name": name, "namespace": "shop", "labels": labels},
            "spec": {"nodeName": "n1", "containers": [{"name": "a", "image": "x:1"}]},
            "status": {
                "phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}],
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        });
        self.put("", "v1", "pods", &pod);
    }

    /// Objects of a text as `kubectl get -o yaml` shows them.
    pub(crate) fn fixture(name: &str) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../cluster/fixtures").join(name)
    }

    /// Runs the program, and makes certain that it wrote nothing.
    pub(crate) async fn run(&self, args: &[&str]) -> Ran {
        let before = self.handle.with(|server| server.version());
        let ran = self.run_with_input(args, "").await;
        assert_eq!(self.handle.with(|server| server.version()), before, "{args:?} wrote something");
        ran
    }

    pub(crate) async fn run_with_input(&self, args: &[&str], input: &str) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hotstandby"));
        command.args(args).env("KUBECONFIG", &self.kubeconfig);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let input = input.to_owned();
        let output = tokio::task::spawn_blocking(move || {
            let mut child = command.spawn().unwrap();
            child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
            child.wait_with_output().unwrap()
        });
        let output = output.await.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.kubeconfig);
    }
}

/// The group `web` of namespace `shop`, with this status.
pub(crate) fn group(status: &Value) -> Value {
    json!({
        "apiVersion": "hotstandby.dev/v1alpha1", "kind": "ActiveStandby",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "traffic": {"services": [{"name": "web-active"}]}},
        "status": status,
    })
}
