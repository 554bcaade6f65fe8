//! Where and when: a number without its conditions says little.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use super::record::Conditions;
use hotstandby_e2e::harness::{Env, blocking};
use hotstandby_testbed::netns::in_netns;
use hotstandby_testbed::paths::workspace_root;

/// kube-proxy's own port for questions like these.
const PROXY: ([u8; 4], u16) = ([127, 0, 0, 1], 10249);

impl Conditions {
    /// What can be told before the first trial.
    pub(super) async fn before(env: &Arc<Env>, load_before: String) -> Result<Self> {
        let version = env.objects.client().apiserver_version().await.context("asking for the version")?;
        let nodes = env.cluster.nodes();
        let node = nodes.first().context("the cluster has no node")?.netns();
        let (mode, config) = blocking(move || {
            in_netns(&node, || anyhow::Ok((ask_proxy("/proxyMode")?, ask_proxy("/configz")?)))?
        })
        .await?;
        Ok(Self {
            started: Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            commit: commit(),
            cpu: cpu(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default()),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_gib: memory_gib(&fs::read_to_string("/proc/meminfo").unwrap_or_default()),
            kernel: one_line("/proc/sys/kernel/osrelease"),
            kubernetes: version.git_version,
            proxy_min_sync: min_sync(&config, &mode),
            proxy_mode: mode,
            nodes: nodes.len(),
            load_before,
            command: std::env::args().skip(1).collect::<Vec<_>>().join(" "),
            ..Self::default()
        })
    }
}

/// The load of the last 1, 5 and 15 minutes.
pub(super) fn load() -> String {
    one_line("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" ")
}

fn one_line(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn cpu(info: &str) -> String {
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or_else(|| "unknown".to_owned(), |(_, name)| name.trim().to_owned())
}

fn memory_gib(info: &str) -> f64 {
    let total = info.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next());
    total.and_then(|kib| kib.parse::<f64>().ok()).unwrap_or_default() / (1024.0 * 1024.0)
}

fn commit() -> String {
    let git = |arguments: &[&str]| {
        let out = Command::new("git")
            .args(arguments)
            .current_dir(workspace_root())
            .stdin(Stdio::null())
            .output()
            .ok()?;
        out.status.success().then(|| String::from_utf8_lossy(&out.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "unknown".to_owned() };
    // Only what the numbers depend on.
    let changed = git(&["status", "--porcelain", "--", "crates", "Cargo.toml", "Cargo.lock", "deploy"])
        .unwrap_or_default();
    if changed.is_empty() { commit } else { format!("{commit} with uncommitted changes") }
}

/// It stands beside the modes' own sections, or in the mode's.
fn min_sync(config: &str, mode: &str) -> String {
    fn field<'v>(object: &'v Value, wanted: &str) -> Option<&'v Value> {
        object.as_object()?.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value)
    }
    let config: Value = serde_json::from_str(config).unwrap_or_default();
    let proxy = config.get("kubeproxy.config.k8s.io").unwrap_or(&Value::Null);
    let own = field(proxy, mode).and_then(|section| field(section, "minSyncPeriod"));
    let value = own.or_else(|| field(proxy, "minSyncPeriod"));
    value.and_then(Value::as_str).unwrap_or("unknown").to_owned()
}

fn ask_proxy(path: &str) -> Result<String> {
    let address = SocketAddr::from(PROXY);
    let limit = Duration::from_secs(3);
    let mut stream = TcpStream::connect_timeout(&address, limit).context("connecting to kube-proxy")?;
    stream.set_read_timeout(Some(limit)).context("limiting a read")?;
    // HTTP/1.0: no chunks to put together.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").context("asking kube-proxy")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("reading kube-proxy's answer")?;
    Ok(answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machine_and_proxy_are_read() {
        assert_eq!(cpu("processor\t: 0\nmodel name\t: Fast CPU 3\nmodel name\t: x"), "Fast CPU 3");
        assert!((memory_gib("MemTotal:       2097152 kB\nMemFree: 1 kB") - 2.0).abs() < 1e-9);
        for config in [
            r#"{"kubeproxy.config.k8s.io": {"NFTables": {"MasqueradeBit": 14}, "MinSyncPeriod": "1s"}}"#,
            r#"{"kubeproxy.config.k8s.io": {"nftables": {"minSyncPeriod": "1s"}, "iptables": {}}}"#,
        ] {
            assert_eq!(min_sync(config, "nftables"), "1s");
        }
        assert_eq!(min_sync("", "nftables"), "unknown");
    }
}
