//! The whole demo, as people run it, without a terminal: two replicas of the real controller on the modelled control
//! plane. One after the other, so that they do not take the processor from each other.

// Helpers of tests may fail as tests do.
#![allow(clippy::unwrap_used, clippy::panic)]

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The longest a demo may take, on the busiest machine.
const LIMIT: Duration = Duration::from_mins(1);

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A demo that runs, with a folder of its own for temporary files.
struct Demo {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
    folder: PathBuf,
    begun: Instant,
    _alone: MutexGuard<'static, ()>,
}

impl Demo {
    fn start(name: &str, arguments: &[&str]) -> Self {
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = std::env::temp_dir().join(format!("demo-test-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_demo"))
            .args(arguments)
            .env("TMPDIR", &folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = read(child.stdout.take().unwrap());
        Self { child, lines, seen: Vec::new(), folder, begun: Instant::now(), _alone: alone }
    }

    /// Reads on to a line with this in it.
    fn read_to(&mut self, text: &str) -> String {
        loop {
            let left = LIMIT.saturating_sub(self.begun.elapsed());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("no line with {text:?} within {LIMIT:?}: {}", self.all())
            };
            self.seen.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    fn interrupt(&self) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), Signal::SIGINT).unwrap();
    }

    /// Waits for its end; exit code and all it said.
    fn end(&mut self) -> (i32, String) {
        while let Ok(line) = self.lines.recv_timeout(LIMIT.saturating_sub(self.begun.elapsed())) {
            self.seen.push(line);
        }
        let mut errors = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        let left: Vec<_> = std::fs::read_dir(&self.folder).unwrap().collect();
        assert!(left.is_empty(), "temporary files are left: {left:?}");
        assert_eq!(processes_of(&self.folder), [], "processes are left");
        (code, format!("{}\n{errors}", self.all()))
    }

    fn all(&self) -> String {
        self.seen.join("\n")
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // Only where a test failed half-way: it may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The lines of a stream, as they come.
fn read(stream: ChildStdout) -> Receiver<String> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// Number and command line of processes that were started from a folder and still run.
fn processes_of(folder: &Path) -> Vec<(i32, String)> {
    let folder = folder.display().to_string();
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let process = |entry: std::fs::DirEntry| {
        let line = std::fs::read_to_string(entry.path().join("cmdline")).ok()?.replace('\0', " ");
        Some((entry.file_name().to_str()?.parse().ok()?, line))
    };
    all.filter_map(process).filter(|(_, line)| line.starts_with(&folder)).collect()
}

#[test]
fn every_failover_happens_in_time_and_nobody_is_doubled() {
    let mut demo = Demo::start("all", &[]);
    let first = demo.lines.recv_timeout(Duration::from_secs(2));
    assert!(first.is_ok(), "nothing is said for two seconds");
    for (number, act) in [("1.", "kill -KILL"), ("2.", "kill -STOP"), ("3.", "kubectl drain")] {
        let line = demo.read_to(act);
        assert!(line.starts_with(number), "{line}");
        let before = demo.seen.len();
        demo.read_to("^ the fault");
        let picture = demo.seen.split_off(before).join("\n");
        for moment in ["┌─", "detected", "seat: web-", "slice: web-", " answers", "└─"] {
            assert!(picture.contains(moment), "{moment}: {picture}");
        }
        demo.seen.push(picture);
    }
    demo.read_to("Summary");
    for row in ["killed", "hung", "drained"] {
        let line = demo.read_to(row);
        let doubled = line.split_whitespace().last();
        assert_eq!(doubled, Some("0"), "{line}");
    }
    let (code, said) = demo.end();
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("3 of 3 failovers in time, never two active at once"), "{said}");
    assert!(!said.contains('\x1b'), "no colours and no cursor moves without a terminal");
}

#[test]
fn kept_it_can_be_played_with_until_it_is_interrupted() {
    let mut demo = Demo::start("keep", &["kill", "--keep"]);
    demo.read_to("until Ctrl-C");
    let kubeconfig = demo.read_to("KUBECONFIG=").trim().trim_start_matches("export KUBECONFIG=").to_owned();
    let program = demo.read_to("alias hotstandby=").trim().trim_start_matches("alias hotstandby=").to_owned();
    demo.read_to("kubectl edit");
    let hotstandby = |arguments: &[&str]| {
        let output = Command::new(&program).args(arguments).env("KUBECONFIG", &kubeconfig).output().unwrap();
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{arguments:?}: {text}");
        text
    };
    assert!(hotstandby(&["status"]).contains("web"), "the group is shown");
    hotstandby(&["switchover", "web"]);
    demo.interrupt();
    let (code, said) = demo.end();
    assert_eq!(code, 0, "{said}");
}

#[test]
fn an_interrupt_on_the_way_leaves_nothing_behind() {
    let mut demo = Demo::start("interrupt", &[]);
    demo.read_to("kill -KILL");
    demo.interrupt();
    let (code, said) = demo.end();
    assert_eq!(code, 130, "{said}");
}

#[test]
fn a_replica_that_dies_on_the_way_is_no_success() {
    let mut demo = Demo::start("broken", &["kill"]);
    demo.read_to("kill -KILL");
    let running = processes_of(&demo.folder);
    let replica = running.iter().find(|(_, line)| line.contains("--identity hotstandby-b")).unwrap();
    kill(Pid::from_raw(replica.0), Signal::SIGKILL).unwrap();
    let (code, said) = demo.end();
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("hotstandby-b ended"), "{said}");
}

#[test]
fn what_is_not_understood_is_said() {
    let mut demo = Demo::start("usage", &["explode"]);
    let (code, said) = demo.end();
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("kill, hang, drain"), "{said}");
}
