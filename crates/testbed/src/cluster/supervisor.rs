//! The one process all of a cluster's processes descend from.
//!
//! It is the first process of a PID namespace, so that the kernel ends the whole cluster with it, however it
//! dies. It reads the cluster's description from its standard input; an end of file there before the word
//! [`super::control::DETACH`] means that its owner is gone, and it takes everything down.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::{Pid, dup2_stderr, setsid};

use super::cgroup::{self, Cgroup};
use super::config::Spec;
use super::control::{self, Answer, DETACH, Report, Request, Status};
use super::control_plane::Component;
use super::process::{self, NODE_INIT, Place};
use super::{network, node, pki, ready, relay, sweep};
use crate::paths::{CONTROL_PLANE, NodePaths};

const START_LIMIT: Duration = Duration::from_mins(4);
const DEATH_LIMIT: Duration = Duration::from_secs(20);

/// Something the supervisor has to react to.
pub(super) enum Event {
    Request(Request, UnixStream),
    OwnerGone,
    Detached,
    Signalled,
    Exited(Member, i32, String),
    ApiReady,
    DnsIntroduced,
    NodesReady,
    NotReady(String),
}

/// A process the supervisor started itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Member {
    Component(Component),
    Node(u8),
}

/// Why the supervisor ends, and who wants to hear of it.
enum End {
    Asked(UnixStream),
    OwnerGone,
    Signalled,
}

struct Supervisor {
    spec: Spec,
    nodes: Vec<NodePaths>,
    running: BTreeMap<Member, i32>,
    sender: Sender<Event>,
    events: Receiver<Event>,
    put_off: Vec<Event>,
    host_port: u16,
    start: Instant,
    owned: bool,
}

/// Runs a cluster until it is asked to end. The caller must not have started any thread.
pub(crate) fn run() -> Result<()> {
    // A session of its own: the terminal's Ctrl-C is for who started us, and reaches us as an end of file.
    let _leads_one_already = setsid();
    let signals = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP]);
    signals.thread_block().context("blocking signals")?;

    let mut input = BufReader::new(std::io::stdin());
    let mut line = String::new();
    input.read_line(&mut line).context("reading the cluster's description")?;
    let spec: Spec = serde_json::from_str(&line).context("understanding the cluster's description")?;

    let result = supervise(spec, input, signals);
    if let Err(error) = &result {
        eprintln!("supervisor: {error:#}");
        report(&Report::Failed(format!("{error:#}")));
    }
    result
}

fn supervise(spec: Spec, input: BufReader<std::io::Stdin>, signals: SigSet) -> Result<()> {
    let name = spec.paths.name().to_owned();
    let _lock = sweep::lock(&spec.paths)?.ok_or_else(|| {
        anyhow!("cluster '{name}' is up already: 'cargo testbed down --name {name}' ends it, another --name avoids it")
    })?;
    sweep::leftovers(&spec.paths)?;
    sweep::logs(&spec.paths)?;
    prepare_folders(&spec)?;
    let _to_log = dup2_stderr(process::open_log(&spec.paths.log("supervisor"))?);

    let (sender, events) = channel();
    watch_owner(input, sender.clone());
    watch_signals(signals, sender.clone());
    let mut supervisor = Supervisor {
        nodes: spec.nodes(),
        spec,
        running: BTreeMap::new(),
        sender,
        events,
        put_off: Vec::new(),
        host_port: 0,
        start: Instant::now(),
        owned: true,
    };
    let ended = match supervisor.bring_up() {
        Ok(None) => {
            report(&Report::Ready);
            Ok(supervisor.serve())
        }
        Ok(Some(end)) => Ok(end),
        Err(error) => Err(error),
    };
    let cleaned = supervisor.tear_down();
    match ended {
        Err(error) => Err(error),
        Ok(End::Asked(stream)) => {
            let answer = match &cleaned {
                Ok(()) => Answer::Done,
                Err(error) => Answer::Failed(format!("{error:#}")),
            };
            control::answer(&stream, &answer);
            cleaned
        }
        Ok(End::OwnerGone | End::Signalled) => cleaned,
    }
}

impl Supervisor {
    /// Starts everything. `Some` if it was told to end meanwhile.
    fn bring_up(&mut self) -> Result<Option<End>> {
        let paths = self.spec.paths.clone();
        Cgroup::new(&paths.cgroup())?.child("supervisor").join()?;
        let listener = relay::listen()?;
        self.host_port = listener.local_addr().context("asking for the relay's port")?.port();
        pki::create(&self.spec, self.host_port)?;
        network::create(&paths, &self.nodes)?;
        self.listen()?;
        relay::start(listener, &paths.netns(CONTROL_PLANE))?;
        self.start_component(Component::Etcd)?;
        self.start_component(Component::Apiserver)?;
        for node in self.nodes.clone() {
            self.start_node(&node)?;
        }
        report(&Report::Progress(format!(
            "network, etcd, API server and {} nodes started",
            self.spec.config.nodes
        )));
        ready::watch(&self.spec, self.sender.clone())?;

        let limit = Instant::now() + START_LIMIT;
        loop {
            match self.next_event(limit) {
                None => bail!("not ready within {START_LIMIT:?}: logs are in {}", paths.logs().display()),
                Some(Event::ApiReady) => self.api_is_ready()?,
                Some(Event::DnsIntroduced) => self.start_component(Component::Coredns)?,
                Some(Event::NodesReady) => return Ok(None),
                Some(Event::NotReady(why)) => bail!("{why}"),
                Some(Event::Exited(member, pid, status)) => {
                    self.forget(member, pid);
                    let log = self.log_of(member);
                    bail!(
                        "{log} ended ({status}) while the cluster was starting; the end of its log:\n{}",
                        process::log_tail(&paths.log(&log), 12)
                    );
                }
                Some(Event::Detached) => self.owned = false,
                Some(Event::OwnerGone) if self.owned => return Ok(Some(End::OwnerGone)),
                Some(Event::OwnerGone) => {}
                Some(Event::Signalled) => return Ok(Some(End::Signalled)),
                Some(Event::Request(request, stream)) => {
                    if let Some(end) = self.handle(request, stream) {
                        return Ok(Some(end));
                    }
                }
            }
        }
    }

    fn api_is_ready(&mut self) -> Result<()> {
        super::write_atomically(&self.spec.paths.api_ready(), "")?;
        self.start_component(Component::ControllerManager)?;
        self.start_component(Component::Scheduler)?;
        report(&Report::Progress("API server ready".to_owned()));
        Ok(())
    }

    /// Answers requests until one of them, or the owner, ends it.
    fn serve(&mut self) -> End {
        loop {
            let event = if self.put_off.is_empty() {
                match self.events.recv() {
                    Ok(event) => event,
                    // Cannot be: we hold a sender ourselves.
                    Err(_) => return End::Signalled,
                }
            } else {
                self.put_off.remove(0)
            };
            match event {
                Event::Request(request, stream) => {
                    if let Some(end) = self.handle(request, stream) {
                        return end;
                    }
                }
                Event::Detached => self.owned = false,
                Event::OwnerGone if self.owned => return End::OwnerGone,
                Event::Signalled => return End::Signalled,
                Event::Exited(member, pid, status) => {
                    eprintln!("{} ended: {status}", self.log_of(member));
                    self.forget(member, pid);
                }
                Event::OwnerGone
                | Event::ApiReady
                | Event::DnsIntroduced
                | Event::NodesReady
                | Event::NotReady(_) => {}
            }
        }
    }

    fn handle(&mut self, request: Request, stream: UnixStream) -> Option<End> {
        let result = match request {
            Request::Down => return Some(End::Asked(stream)),
            Request::Status => {
                control::answer(&stream, &Answer::Status(self.status()));
                return None;
            }
            Request::Kill { component } => self.stop(Member::Component(component)),
            Request::Restart { component } => {
                self.stop(Member::Component(component)).and_then(|()| self.start_component(component))
            }
            Request::PowerOn { node } => self.power_on(&node),
        };
        let answer = match result {
            Ok(()) => Answer::Done,
            Err(error) => Answer::Failed(format!("{error:#}")),
        };
        control::answer(&stream, &answer);
        None
    }

    fn status(&self) -> Status {
        let runs = |member: Member| self.running.contains_key(&member);
        Status {
            components: Component::ALL
                .into_iter()
                .map(|c| (c.name().to_owned(), runs(Member::Component(c))))
                .collect(),
            nodes: self.nodes.iter().map(|n| (n.name(), runs(Member::Node(n.index())))).collect(),
            host_port: self.host_port,
            up_s: self.start.elapsed().as_secs(),
            owned: self.owned,
        }
    }

    fn start_component(&mut self, component: Component) -> Result<()> {
        let mut command = component.command(&self.spec);
        process::log_to(&mut command, &self.spec.paths.log(component.name()))?;
        let netns = Some(self.spec.paths.netns(CONTROL_PLANE));
        self.start_member(Member::Component(component), command, Place { netns, own_pids: false })
    }

    fn start_node(&mut self, node: &NodePaths) -> Result<()> {
        node::clear_run(node)?;
        node::write_files(&self.spec, node)?;
        let mut command = std::process::Command::new(process::this_program());
        command.arg(NODE_INIT).arg(self.spec.paths.spec()).arg(node.name());
        command.env("PATH", self.spec.tools.search_path());
        process::log_to(&mut command, &self.spec.paths.log(&node.name()))?;
        let place = Place { netns: Some(node.netns()), own_pids: true };
        self.start_member(Member::Node(node.index()), command, place)
    }

    fn start_member(&mut self, member: Member, command: std::process::Command, place: Place) -> Result<()> {
        let mut child = process::spawn(command, place)?;
        let pid = i32::try_from(child.id()).context("a process id beyond all limits")?;
        let sender = self.sender.clone();
        thread::spawn(move || {
            let status = child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
            let _ending_anyway = sender.send(Event::Exited(member, pid, status));
        });
        self.running.insert(member, pid);
        Ok(())
    }

    /// Starts a node again after a power cut: same name and disk, but everything a reboot clears is cleared.
    fn power_on(&mut self, name: &str) -> Result<()> {
        let node = self.spec.node(name)?;
        if self.running.contains_key(&Member::Node(node.index())) {
            bail!("node {name} has power already");
        }
        cgroup::remove_everywhere(&node.cgroup())?;
        network::unplug(&self.spec.paths, &node)?;
        network::plug_in(&self.spec.paths, &node, &self.nodes)?;
        self.start_node(&node)
    }

    /// Kills a process and waits for its end. Not running is fine.
    fn stop(&mut self, member: Member) -> Result<()> {
        let Some(pid) = self.running.get(&member).copied() else { return Ok(()) };
        let _died_just_now = kill(Pid::from_raw(pid), Signal::SIGKILL);
        let limit = Instant::now() + DEATH_LIMIT;
        while self.running.contains_key(&member) {
            match self.receive(limit) {
                None => bail!("{} does not die", self.log_of(member)),
                Some(Event::Exited(who, pid, _)) => self.forget(who, pid),
                Some(other) => self.put_off.push(other),
            }
        }
        Ok(())
    }

    fn next_event(&mut self, limit: Instant) -> Option<Event> {
        if self.put_off.is_empty() { self.receive(limit) } else { Some(self.put_off.remove(0)) }
    }

    fn receive(&self, limit: Instant) -> Option<Event> {
        self.events.recv_timeout(limit.saturating_duration_since(Instant::now())).ok()
    }

    fn forget(&mut self, member: Member, pid: i32) {
        if self.running.get(&member) == Some(&pid) {
            self.running.remove(&member);
            if let Member::Node(index) = member {
                let _was_never_there = fs::remove_file(NodePaths::new(&self.spec.paths, index).pid_file());
            }
        }
    }

    fn log_of(&self, member: Member) -> String {
        match member {
            Member::Component(component) => component.name().to_owned(),
            Member::Node(index) => NodePaths::new(&self.spec.paths, index).name(),
        }
    }

    /// Takes requests on the control socket.
    fn listen(&self) -> Result<()> {
        let path = self.spec.paths.control_socket();
        let listener =
            UnixListener::bind(&path).with_context(|| format!("opening socket {}", path.display()))?;
        let sender = self.sender.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                match control::receive(&stream) {
                    Ok(request) => {
                        let _ending = sender.send(Event::Request(request, stream));
                    }
                    Err(error) => control::answer(&stream, &Answer::Failed(format!("{error:#}"))),
                }
            }
        });
        Ok(())
    }

    /// Ends all processes and removes everything but the logs. Goes on after an error and reports the first.
    fn tear_down(&mut self) -> Result<()> {
        let mut first = Ok(());
        let mut note = |result: Result<()>| {
            if let Err(error) = result {
                eprintln!("taking down: {error:#}");
                if first.is_ok() {
                    first = Err(error);
                }
            }
        };
        for node in &self.nodes {
            // Thaws as well: what is frozen cannot die.
            note(Cgroup::new(&node.cgroup()).and_then(|group| group.kill_all()));
        }
        let members: Vec<Member> = self.running.keys().copied().collect();
        for member in members {
            note(self.stop(member));
        }
        note(Cgroup::leave());
        note(sweep::leftovers(&self.spec.paths));
        first
    }
}

fn prepare_folders(spec: &Spec) -> Result<()> {
    let paths = &spec.paths;
    for dir in [paths.state(), paths.run(), &paths.logs(), &paths.images()] {
        fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    }
    for image in &spec.config.images {
        super::add_image(paths, image)?;
    }
    super::write_atomically(&paths.corefile(), &super::dns::corefile(paths))?;
    super::write_atomically(&paths.spec(), &serde_json::to_string_pretty(spec)?)
}

fn watch_owner(mut input: BufReader<std::io::Stdin>, sender: Sender<Event>) {
    thread::spawn(move || {
        let mut line = String::new();
        let detached = input.read_line(&mut line).is_ok() && line.trim() == DETACH;
        let event = if detached { Event::Detached } else { Event::OwnerGone };
        let _ending = sender.send(event);
    });
}

fn watch_signals(signals: SigSet, sender: Sender<Event>) {
    thread::spawn(move || {
        while signals.wait().is_ok() {
            let _ending = sender.send(Event::Signalled);
        }
    });
}

/// Tells who started us; nobody may listen any more.
fn report(what: &Report) {
    if let Ok(mut line) = serde_json::to_string(what) {
        line.push('\n');
        let mut out = std::io::stdout().lock();
        let _nobody_listens = out.write_all(line.as_bytes()).and_then(|()| out.flush());
    }
}
