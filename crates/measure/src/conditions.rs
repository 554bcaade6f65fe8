//! Where and when a run takes place: a number without its conditions says little.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use crate::record::Conditions;
use hotstandby_e2e::harness::{Env, blocking};
use hotstandby_testbed::netns::in_netns;
use hotstandby_testbed::paths::workspace_root;

/// The port on which kube-proxy serves its mode and its configuration.
const PROXY: ([u8; 4], u16) = ([127, 0, 0, 1], 10249);

impl Conditions {
    /// Reads what is known before the first trial.
    pub(crate) async fn read(env: &Arc<Env>, load_before: String) -> Result<Self> {
        let version = env.objects.client().apiserver_version().await.context("asking for the version")?;
        let nodes = env.cluster.nodes();
        let node = nodes.first().context("the cluster has no node")?.netns();
        let (mode, config) = blocking(move || {
            in_netns(&node, || anyhow::Ok((ask_proxy("/proxyMode")?, ask_proxy("/configz")?)))?
        })
        .await?;
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let cpu = find_cpu(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default());
        let memory = find_memory_gib(&fs::read_to_string("/proc/meminfo").unwrap_or_default());
        Ok(Self {
            started: Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            commit: find_commit(),
            machine: format!("{cpu}, {cores} cores, {memory:.0} GiB"),
            kernel: read_line("/proc/sys/kernel/osrelease"),
            kubernetes: format!("{}, {} nodes", version.git_version, nodes.len()),
            kube_proxy: format!("{mode}, minimum sync period {}", find_min_sync(&config, &mode)),
            load_before,
            command: std::env::args().skip(1).collect::<Vec<_>>().join(" "),
            ..Self::default()
        })
    }
}

/// The load of the last 1, 5 and 15 minutes.
pub(crate) fn read_load() -> String {
    read_line("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" ")
}

fn read_line(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn find_cpu(info: &str) -> String {
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or_else(|| "unknown".to_owned(), |(_, name)| name.trim().to_owned())
}

fn find_memory_gib(info: &str) -> f64 {
    let total = info.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next());
    total.and_then(|kib| kib.parse::<f64>().ok()).unwrap_or_default() / (1024.0 * 1024.0)
}

fn find_commit() -> String {
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
    // Only changes of what the numbers depend on count.
    let changed = git(&["status", "--porcelain", "--", "crates", "Cargo.toml", "Cargo.lock", "deploy"])
        .unwrap_or_default();
    if changed.is_empty() { commit } else { format!("{commit} with uncommitted changes") }
}

/// The minimum sync period, which is in the section of the mode or beside all such sections.
fn find_min_sync(config: &str, mode: &str) -> String {
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
    // The answer to HTTP/1.0 is not chunked.
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
        assert_eq!(find_cpu("processor\t: 0\nmodel name\t: Fast CPU 3\nmodel name\t: x"), "Fast CPU 3");
        assert!((find_memory_gib("MemTotal:       2097152 kB\nMemFree: 1 kB") - 2.0).abs() < 1e-9);
        for config in [
            r#"{"kubeproxy.config.k8s.io": {"NFTables": {"MasqueradeBit": 14}, "MinSyncPeriod": "1s"}}"#,
            r#"{"kubeproxy.config.k8s.io": {"nftables": {"minSyncPeriod": "1s"}, "iptables": {}}}"#,
        ] {
            assert_eq!(find_min_sync(config, "nftables"), "1s");
        }
        assert_eq!(find_min_sync("", "nftables"), "unknown");
    }
}
