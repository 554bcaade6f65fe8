//! I2 with real processes: random freezes and deaths, one look every few milliseconds, never two commands.

use crate::harness::{Member, World, lives, processes, until};
use hotstandby_sim::Fault;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Short, so that much happens.
const TIMING: [&str; 3] = ["2s", "1200ms", "200ms"];
/// How long the trouble lasts.
const TROUBLE: Duration = Duration::from_secs(20);
/// How long a process stays frozen: longer than the lease.
const FREEZE: Duration = Duration::from_secs(3);
/// Between two pieces of it.
const PAUSE: Duration = Duration::from_millis(350);
/// Which trouble, unless `HOTSTANDBY_SEED` says another.
const SEED: u64 = 20_261_121;

fn seed() -> u64 {
    std::env::var("HOTSTANDBY_SEED").map_or(SEED, |text| text.parse().expect("HOTSTANDBY_SEED is a number"))
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Commands that were ever started, by their own word.
fn started(runs: &PathBuf) -> Vec<i32> {
    let text = fs::read_to_string(runs).unwrap_or_default();
    text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')?.parse().ok()).collect()
}

/// Looks until told to stop; the worst it saw.
fn watch(runs: &PathBuf, stop: &AtomicBool) -> BTreeSet<i32> {
    let mut worst = BTreeSet::new();
    while !stop.load(Ordering::Relaxed) {
        let look = |pids: Vec<i32>| pids.into_iter().filter(|pid| is_alive(*pid)).collect::<Vec<_>>();
        // Looked at one after the other. Who is alive before and after all of them were seen alive lived beside them.
        let alive: BTreeSet<i32> = look(look(started(runs))).into_iter().collect();
        if alive.len() > worst.len() {
            if alive.len() > 1 {
                eprintln!("{}: alive at once: {alive:?}", jiff::Timestamp::now());
            }
            worst = alive;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    worst
}

fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z') && !rest.starts_with('X'))
}

fn start(world: &World, name: &str) -> Member {
    // Deaf to TERM: only SIGKILL in time helps.
    let script = format!("trap '' TERM; echo $$ >> {}; exec sleep 1000", world.path("runs").display());
    world.member(name, TIMING, &script).flag("--term-grace=300ms").start()
}

fn send(pid: i32, signal: &str) {
    use nix::sys::signal::{Signal, kill};
    // It may have ended meanwhile: that is trouble enough.
    let _ = kill(nix::unistd::Pid::from_raw(pid), format!("SIG{signal}").parse::<Signal>().unwrap());
}

/// The elector, if there is one: the only child that is not the command.
fn elector_of(member: &Member) -> Option<i32> {
    let mut children = processes().into_iter().filter(|process| process.parent == member.pid());
    children
        .find(|child| crate::harness::command_line(child.pid).starts_with("hotstandby-await:elector"))
        .map(|child| child.pid)
}

/// What befalls requests.
#[derive(Clone, Default)]
struct Network {
    /// Whose requests are lost.
    cut: Arc<Mutex<BTreeSet<String>>>,
    /// Answers of writes are lost.
    lossy: Arc<AtomicBool>,
}

impl Network {
    fn over(world: &World) -> Self {
        let network = Self::default();
        let rule = network.clone();
        world.fault(move |info| {
            if rule.cut.lock().unwrap().contains(&info.user) {
                return Fault::DropRequest;
            }
            let lost = info.is_write() && rule.lossy.load(Ordering::Relaxed);
            if lost { Fault::DropAnswerAfterApplying } else { Fault::None }
        });
        network
    }
}

/// One piece of trouble for one member; whether one of its processes is frozen by it. Of keeper and elector one at the most
/// is: either alone suffices.
fn trouble(dice: &mut Dice, network: &Network, name: &str, member: &Member) -> bool {
    let elector = elector_of(member);
    let dice = dice.below(8);
    eprintln!(
        "{}: trouble {dice} for {name}, keeper {}, elector {elector:?}",
        jiff::Timestamp::now(),
        member.pid()
    );
    match dice {
        0 => send(member.pid(), "STOP"),
        1 => {
            send(member.pid(), "STOP");
            network.cut.lock().unwrap().insert(name.to_owned());
        }
        2 | 3 => elector.into_iter().for_each(|pid| send(pid, "STOP")),
        4 => elector.into_iter().for_each(|pid| send(pid, "KILL")),
        5 => send(member.pid(), "TERM"),
        6 => send(member.pid(), "KILL"),
        _ => network.lossy.store(true, Ordering::Relaxed),
    }
    dice < 4
}

/// As the kubelet does.
fn restarted(world: &World, member: &mut Member, name: &str) -> bool {
    let ended = !member.is_running();
    if ended {
        *member = start(world, name);
    }
    ended
}

fn thaw(member: &Member) {
    elector_of(member).into_iter().chain([member.pid()]).for_each(|pid| send(pid, "CONT"));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_two_commands_ever_live_at_once() {
    let world = World::new().await;
    let runs = world.path("runs");
    let stop = Arc::new(AtomicBool::new(false));
    let watcher = {
        let (runs, stop) = (runs.clone(), stop.clone());
        std::thread::spawn(move || watch(&runs, &stop))
    };
    let mut dice = Dice(seed());
    let names = ["db-0", "db-1", "db-2"];
    let mut members: Vec<Member> = names.iter().map(|name| start(&world, name)).collect();
    let network = Network::over(&world);
    let mut frozen: Vec<Option<Instant>> = vec![None; names.len()];
    let begun = Instant::now();
    while begun.elapsed() < TROUBLE {
        tokio::time::sleep(PAUSE).await;
        network.lossy.store(false, Ordering::Relaxed);
        // The holder most often.
        let any = usize::try_from(dice.below(3)).unwrap();
        let holder = names.iter().position(|name| *name == world.holder()).filter(|_| dice.below(3) > 0);
        let victim = holder.unwrap_or(any);
        if frozen[victim].is_none() && trouble(&mut dice, &network, names[victim], &members[victim]) {
            frozen[victim] = Some(Instant::now() + FREEZE);
        }
        for (place, member) in members.iter_mut().enumerate() {
            if frozen[place].is_some_and(|until| until < Instant::now()) {
                thaw(member);
                network.cut.lock().unwrap().remove(names[place]);
                frozen[place] = None;
            }
            if restarted(&world, member, names[place]) {
                network.cut.lock().unwrap().remove(names[place]);
                frozen[place] = None;
            }
        }
    }
    world.no_fault();
    members.iter().for_each(thaw);
    until("one of them runs in the end", || {
        members.iter_mut().zip(names).for_each(|(member, name)| {
            restarted(&world, member, name);
        });
        started(&runs).iter().any(|pid| lives(*pid))
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    let worst = watcher.join().unwrap();
    assert!(worst.len() <= 1, "lived at once: {worst:?}, seed {}", seed());
    let starts = started(&runs).len();
    assert!(starts >= 4, "only {starts} starts: the trouble was none");
    eprintln!("{starts} commands were started, never two at once");
}
