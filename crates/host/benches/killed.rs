//! How soon a killed process is proven dead: real processes, SIGKILL, the real prober with its tripwire, and the suspicion machine of
//! the core. No cluster, no root.
//!
//! ```sh
//! cargo bench -p hotstandby-host --bench killed             # 100 kills of each kind
//! cargo bench -p hotstandby-host --bench killed -- 400      # another number of kills
//! taskset -c 0 cargo bench -p hotstandby-host --bench killed   # prober and servers on one CPU
//! ```
//!
//! A kill is *proven* when two refusals were reported. The period is one second, so that what a periodic probe finds shows. The
//! process is the same program, started again: a server that answers its health page at once, or after 200 ms.
// A benchmark that cannot start its servers has nothing else to do than to say so and end.
#![allow(clippy::expect_used)]

use hotstandby_core::action::{ProbeTarget, WireProbe};
use hotstandby_core::health::{Failing, Health, Verdict};
use hotstandby_core::observation::Observation;
use hotstandby_host::clock::Clock;
use hotstandby_host::context::HostContext;
use hotstandby_host::prober::GroupProber;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Says to a copy of this program that it is the server, and how many milliseconds its page takes.
const SERVE: &str = "HOTSTANDBY_BENCH_SERVE";
const PERIOD: Duration = Duration::from_secs(1);
/// No kill takes this long unless the prober is broken.
const LIMIT: Duration = Duration::from_secs(20);
/// The goal of each kill.
const GOAL: Duration = Duration::from_millis(60);

/// A kind of kill.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    /// How many milliseconds the health page takes.
    page: u64,
    is_http: bool,
    /// Whether a probe is waiting for its answer when the process is killed.
    in_flight: bool,
}

const KINDS: [Kind; 4] = [
    Kind { name: "HTTP, page at once", page: 0, is_http: true, in_flight: false },
    Kind { name: "HTTP, page in 200 ms", page: 200, is_http: true, in_flight: false },
    Kind { name: "the same, a probe in flight", page: 200, is_http: true, in_flight: true },
    Kind { name: "TCP", page: 0, is_http: false, in_flight: false },
];

fn main() {
    if let Ok(page) = std::env::var(SERVE) {
        return serve(Duration::from_millis(page.parse().expect("a number of milliseconds")));
    }
    let kills = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(100);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    println!(
        "{:<28} {:>6} {:>10} {:>10} {:>10}  over {} ms",
        "probe",
        "kills",
        "median ms",
        "p99 ms",
        "max ms",
        GOAL.as_millis()
    );
    let mut missed = 0;
    for kind in KINDS {
        let times = runtime.block_on(measure(kills, kind));
        let over = times.iter().filter(|time| **time > GOAL).count();
        missed += over;
        println!(
            "{:<28} {:>6} {:>10.1} {:>10.1} {:>10.1}  {over}",
            kind.name,
            times.len(),
            at_share(&times, 50),
            at_share(&times, 99),
            at_share(&times, 100)
        );
    }
    // Not a test: the exit code tells a script whether the goal was met.
    std::process::exit(i32::from(missed > 0));
}

/// The time in milliseconds below which this share of the sorted times lies.
fn at_share(times: &[Duration], percent: usize) -> f64 {
    let place = (times.len() * percent).div_ceil(100).saturating_sub(1);
    times.get(place).map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
}

/// Kills the process so many times and returns how long each proof took, sorted.
async fn measure(kills: usize, kind: Kind) -> Vec<Duration> {
    let clock = Clock::start();
    let ticking = clock.clone();
    let ticker = tokio::spawn(async move { ticking.run_ticker().await });
    let ctx = HostContext::new(clock, None);
    let mut times = Vec::new();
    let mut server = Server::start(kind.page, None);
    for _ in 0..kills {
        let trial = tokio::time::timeout(LIMIT, kill_once(&ctx, &mut server, kind));
        times.push(trial.await.expect("the kill was not proven at all"));
        server = Server::start(kind.page, Some(server.address));
    }
    ticker.abort();
    times.sort_unstable();
    times
}

/// Watches the server until its tripwire is held, kills it, and returns how long the proof took.
async fn kill_once(ctx: &Arc<HostContext>, server: &mut Server, kind: Kind) -> Duration {
    let (sender, mut seen) = mpsc::unbounded_channel();
    let mut prober = GroupProber::new(Arc::clone(ctx), Arc::new(move |one| drop(sender.send(one))));
    let target = target(server.address, kind.is_http);
    let uid = target.uid.clone();
    prober.set_targets(vec![target]);
    let mut health = Health::default();
    let mut killed = None;
    loop {
        let now = ctx.clock.mono();
        let next = health.next_probe(now);
        if next.is_some_and(|due| due <= now) {
            // What `core::group::probes` does for the active.
            health.note_probe_asked(now);
            prober.probe_at(&uid, now);
            continue;
        }
        let due = next.map(|due| ctx.clock.instant(due));
        let observation = match due {
            None => seen.recv().await,
            Some(due) => tokio::time::timeout_at(due, seen.recv()).await.unwrap_or(None),
        };
        match observation {
            Some(Observation::Probe(report)) => health.record(&report, PERIOD * 9 / 10),
            Some(Observation::TripwireClosed { at, .. }) => health.note_tripwire_closed(at),
            Some(Observation::TripwireState { off: None, .. }) => {
                if kind.in_flight {
                    prober.probe_at(&uid, now);
                    tokio::time::sleep(Duration::from_millis(kind.page / 2)).await;
                }
                killed = Some(ctx.clock.mono());
                server.kill();
            }
            _ => {}
        }
        if let (Some(killed), Verdict::Unhealthy(Failing::Refused)) = (killed, health.verdict(true, u32::MAX))
        {
            return ctx.clock.mono().saturating_sub(killed);
        }
    }
}

fn target(address: SocketAddr, is_http: bool) -> ProbeTarget {
    let wire = if is_http {
        WireProbe::Http { path: "/".into(), tls: false, host: None, status: None }
    } else {
        WireProbe::Tcp
    };
    ProbeTarget {
        uid: "active".into(),
        ip: address.ip(),
        port: address.port(),
        node: None,
        wire,
        period: PERIOD,
        timeout: Duration::from_millis(500),
        tripwire: true,
    }
}

/// A server process.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    /// Starts one, on this address or on any, and waits until it listens.
    fn start(page: u64, address: Option<SocketAddr>) -> Self {
        let own = std::env::current_exe().expect("this program's file");
        let mut child = Command::new(own)
            .env(SERVE, page.to_string())
            .args(address.map(|address| address.to_string()))
            .stdout(Stdio::piped())
            .spawn()
            .expect("starting the server");
        let mut line = String::new();
        let output = child.stdout.take().expect("the server's output");
        BufReader::new(output).read_line(&mut line).expect("the server's address");
        let address = line.trim().parse().expect("an address");
        Self { child, address }
    }

    /// Sends SIGKILL, and leaves it to the kernel when the sockets are closed.
    fn kill(&mut self) {
        self.child.kill().expect("killing the server");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _dead_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// The server: answers every request after this time, and lets idle connections idle.
fn serve(page: Duration) {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let listener = TcpListener::bind(address).expect("listening");
    println!("{}", listener.local_addr().expect("the own address"));
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || answer(stream, page));
    }
}

fn answer(mut stream: TcpStream, page: Duration) {
    let mut head = [0; 1024];
    if stream.read(&mut head).is_ok_and(|length| length > 0) {
        std::thread::sleep(page);
        let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
}
