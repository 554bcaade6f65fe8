//! A modelled API server, members that are real processes, and looks at both.

use hotstandby_sim::{ApiServer, Fault, Handle, RequestInfo, Serving, SystemClock, serve};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long anything may take on a machine with other things to do.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);
/// The namespace of everything.
pub(crate) const NAMESPACE: &str = "shop";
/// The Lease of everything.
pub(crate) const LEASE: &str = "db";

/// The usual durations.
pub(crate) const USUAL: [&str; 3] = ["15s", "10s", "2s"];
/// Short ones, that leave a busy machine some room.
pub(crate) const SHORT: [&str; 3] = ["3s", "2s", "300ms"];

static FOLDERS: AtomicU32 = AtomicU32::new(0);

/// A server and a folder.
pub(crate) struct World {
    pub(crate) handle: Handle,
    serving: Serving,
    pub(crate) folder: PathBuf,
}

impl World {
    pub(crate) async fn new() -> Self {
        let handle = Handle::new(ApiServer::new(Arc::new(SystemClock), 1));
        let namespace = json!({"metadata": {"name": NAMESPACE}});
        handle.with(|server| server.apply_object("", "v1", "namespaces", &namespace)).unwrap();
        let serving = serve(&handle, "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("hstb-await-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self { handle, serving, folder }
    }

    /// A kubeconfig whose user has this name.
    fn kubeconfig(&self, user: &str) -> PathBuf {
        let path = self.folder.join(format!("{user}.kubeconfig"));
        fs::write(&path, self.serving.kubeconfig().replace("token: admin", &format!("token: {user}")))
            .unwrap();
        path
    }

    /// Leads a member's way to the server through this address, by TLS.
    pub(crate) fn lead_through(&self, user: &str, address: std::net::SocketAddr) {
        let path = self.kubeconfig(user);
        let text = fs::read_to_string(&path).unwrap();
        let before = format!("server: http://{}", self.serving.address());
        let behind = format!("server: https://{address}\n    insecure-skip-tls-verify: true");
        assert!(text.contains(&before), "{text}");
        fs::write(&path, text.replace(&before, &behind)).unwrap();
    }

    pub(crate) fn server(&self) -> std::net::SocketAddr {
        self.serving.address()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Applies an object in the namespace.
    pub(crate) fn apply(&self, api: &str, plural: &str, object: &Value) {
        self.handle
            .with(|server| {
                server.apply_object(api.rsplit_once('/').map_or("", |(group, _)| group), "v1", plural, object)
            })
            .unwrap();
    }

    pub(crate) fn object(&self, group: &str, plural: &str, name: &str) -> Option<Value> {
        self.handle
            .with(|server| server.object(group, plural, NAMESPACE, name))
            .map(|object| (*object).clone())
    }

    pub(crate) fn lease(&self) -> Option<Value> {
        self.object("coordination.k8s.io", "leases", LEASE)
    }

    /// The Lease's holder; empty where it is free or absent.
    pub(crate) fn holder(&self) -> String {
        let lease = self.lease().unwrap_or_default();
        lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn term(&self) -> i64 {
        self.lease().unwrap_or_default()["spec"]["leaseTransitions"].as_i64().unwrap_or_default()
    }

    /// As somebody with kubectl would.
    pub(crate) async fn annotate_lease(&self, key: &str, value: &str) {
        let leases: Api<Lease> = Api::namespaced(self.handle.client(NAMESPACE), NAMESPACE);
        let patch = json!({"metadata": {"annotations": {key: value}}});
        leases.patch(LEASE, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    }

    pub(crate) fn fault(&self, rule: impl Fn(&RequestInfo) -> Fault + Send + Sync + 'static) {
        self.handle.set_fault(Some(Arc::new(rule)));
    }

    pub(crate) fn no_fault(&self) {
        self.handle.set_fault(None);
    }

    /// Only what users of the old gatekeeper have granted, and these resources more.
    pub(crate) fn grant(&self, more: &'static [(&'static str, &'static [&'static str])]) {
        self.handle.with(|server| {
            server.set_access(
                move |question| {
                    let old = ["leases", "endpoints"].contains(&question.resource.as_str())
                        && ["get", "create", "update"].contains(&question.verb.as_str());
                    let granted = |(resource, verbs): &(&str, &[&str])| {
                        *resource == question.resource && verbs.contains(&question.verb.as_str())
                    };
                    question.user == "admin" || old || more.iter().any(granted)
                },
                true,
            );
        });
    }

    /// Writes of this user that succeeded, as `verb resource`.
    pub(crate) fn writes_of(&self, user: &str) -> Vec<String> {
        let audit = self.handle.audit();
        let wrote = audit.iter().filter(|entry| entry.request.user == user && entry.request.is_write());
        wrote
            .filter(|entry| entry.code < 300)
            .map(|entry| format!("{} {}", entry.request.verb, entry.request.resource))
            .collect()
    }

    /// A member that runs a shell script as its command.
    pub(crate) fn member(&self, name: &str, timing: [&str; 3], script: &str) -> Plan {
        let [lease, renew, retry] = timing;
        let mut plan = self.bare(name, &["/bin/sh", "-c", script]);
        plan.flags.extend([
            format!("--lease-duration={lease}"),
            format!("--renew-deadline={renew}"),
            format!("--retry-period={retry}"),
        ]);
        plan
    }

    /// A member with the least that is needed.
    pub(crate) fn bare(&self, name: &str, command: &[&str]) -> Plan {
        Plan {
            name: name.to_owned(),
            flags: vec![
                format!("--lease-name={LEASE}"),
                format!("--lease-namespace={NAMESPACE}"),
                format!("--identity={name}"),
                format!("--kubeconfig={}", self.kubeconfig(name).display()),
            ],
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            log: self.path(&format!("{name}.log")),
            out: self.path(&format!("{name}.out")),
            below: Vec::new(),
        }
    }

    /// Waits until a file has as many lines as this, and returns them.
    pub(crate) async fn lines(&self, file: &str, at_least: usize) -> Vec<String> {
        let path = self.path(file);
        let mut lines = Vec::new();
        until(&format!("{at_least} lines in {file}"), || {
            let text = fs::read_to_string(&path).unwrap_or_default();
            // A line without its end is still being written.
            lines = text
                .split_inclusive('\n')
                .filter(|line| line.ends_with('\n'))
                .map(str::trim)
                .map(str::to_owned)
                .collect();
            lines.len() >= at_least
        })
        .await;
        lines
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// A member to be started.
#[derive(Clone)]
pub(crate) struct Plan {
    name: String,
    pub(crate) flags: Vec<String>,
    pub(crate) command: Vec<String>,
    log: PathBuf,
    out: PathBuf,
    /// A command that runs the gatekeeper.
    pub(crate) below: Vec<String>,
}

impl Plan {
    pub(crate) fn flag(mut self, flag: &str) -> Self {
        self.flags.push(flag.to_owned());
        self
    }

    pub(crate) fn below(mut self, words: &[&str]) -> Self {
        self.below = words.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    pub(crate) fn start(self) -> Member {
        self.start_with(Stdio::null())
    }

    pub(crate) fn start_with(self, stdin: Stdio) -> Member {
        // A signal that is ignored stays so through every exec, and a shell sets no trap for it: `nohup` would hide SIGHUP.
        let mut words = vec!["env".to_owned(), "--default-signal".to_owned()];
        words.extend(self.below.clone());
        words.push(binary().display().to_string());
        words.extend(self.flags);
        words.push("--".to_owned());
        words.extend(self.command);
        let open = |path: &Path| fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        let child = Command::new(&words[0])
            .args(&words[1..])
            .stdin(stdin)
            .stdout(open(&self.out))
            .stderr(open(&self.log))
            .process_group(0)
            .spawn()
            .unwrap();
        Member { child, log: self.log, out: self.out, name: self.name }
    }
}

/// The binary under test.
pub(crate) fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_hotstandby-await"))
}

/// The binary under another name, with nothing of the old gatekeeper or of ours in its environment.
pub(crate) fn called(name: &str) -> Command {
    let mut command = Command::new(binary());
    command.arg0(name);
    for (variable, _) in std::env::vars() {
        if variable.starts_with("K8S_AWAIT_ELECTION_") || variable.starts_with("HOTSTANDBY_") {
            command.env_remove(variable);
        }
    }
    command
}

/// A running gatekeeper.
pub(crate) struct Member {
    child: Child,
    name: String,
    log: PathBuf,
    out: PathBuf,
}

impl Member {
    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    pub(crate) fn stdin(&mut self) -> std::process::ChildStdin {
        self.child.stdin.take().unwrap()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn out(&self) -> String {
        fs::read_to_string(&self.out).unwrap_or_default()
    }

    /// Waits for a text in the log.
    pub(crate) async fn says(&self, text: &str) {
        until(&format!("{} says {text:?}", self.name), || self.log().contains(text)).await;
    }

    /// The elector's process ID.
    pub(crate) async fn elector(&self) -> i32 {
        let mut found = None;
        until("the elector", || {
            found = processes().into_iter().find(|process| {
                process.parent == self.pid()
                    && command_line(process.pid).starts_with("hotstandby-await:elector")
            });
            found.is_some()
        })
        .await;
        found.unwrap().pid
    }

    /// Waits for the end.
    pub(crate) async fn ends(&mut self) -> ExitStatus {
        let mut status = None;
        let what = format!("{} ends; its log:\n{}", self.name, self.log());
        until(&what, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        })
        .await;
        status.unwrap()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub(crate) fn signal(&self, signal: &str) {
        send(self.pid(), signal);
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if self.child.try_wait().ok().flatten().is_none() {
            // A frozen one, too; the elector sees to the rest.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- log of {}:\n{}", self.name, self.log());
        }
    }
}

/// Sends a signal by its name.
pub(crate) fn send(pid: i32, signal: &str) {
    use nix::sys::signal::{Signal, kill};
    let signal: Signal = format!("SIG{signal}").parse().unwrap();
    kill(nix::unistd::Pid::from_raw(pid), signal).unwrap();
}

/// One line of `/proc`.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) parent: i32,
    pub(crate) zombie: bool,
}

pub(crate) fn processes() -> Vec<Process> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let (_, rest) = stat.rsplit_once(") ")?;
            let mut fields = rest.split(' ');
            Some(Process { pid, zombie: fields.next()? == "Z", parent: fields.next()?.parse().ok()? })
        })
        .collect()
}

pub(crate) fn command_line(pid: i32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

/// Whether a process lives; a zombie does not.
pub(crate) fn lives(pid: i32) -> bool {
    processes().iter().any(|process| process.pid == pid && !process.zombie)
}

/// Waits for a condition, with a limit.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Says for so long that something holds, not only once.
pub(crate) async fn holds_for(time: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while start.elapsed() < time {
        assert!(condition(), "did not hold after {:?}: {what}", start.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
