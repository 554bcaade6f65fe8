//! What each command does.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::ExitCode;
use std::str::FromStr as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, anyhow, bail};
use hotstandby_testbed::client::{Client, ClientConfig, summary};
use hotstandby_testbed::faults::Inflicted;
use hotstandby_testbed::paths::Paths;
use hotstandby_testbed::progress::{Progress, require_root};
use hotstandby_testbed::trace::Trace;
use hotstandby_testbed::{Cluster, ClusterConfig, dns, image};
use nix::sys::signal::Signal;

use crate::args::{self, Action, Args, Command, Fault, RecordKind};
use crate::enter;

const READY_LIMIT: Duration = Duration::from_mins(2);

pub(crate) fn run(args: Args) -> Result<ExitCode> {
    let name = args.name.as_str();
    // Listing logs needs no rights; all else does.
    if !matches!(args.command, Command::Logs { .. }) {
        require_root()?;
    }
    match args.command {
        Command::Up(up) => start(name, up)?,
        Command::Down { all } => down(name, all)?,
        Command::Status => status(name)?,
        Command::Kubectl { arguments } => return kubectl(&Cluster::attach(name)?, &arguments),
        Command::On { machine, command } => return enter::run(&Cluster::attach(name)?, &machine, &command),
        Command::Fault(fault) => hurt(&Cluster::attach(name)?, &fault)?,
        Command::LoadImage { archive } => load_image(&Cluster::attach(name)?, &archive)?,
        Command::Client(client) => ask(&Cluster::attach(name)?, &client)?,
        Command::Resolve(query) => resolve(&Cluster::attach(name)?, &query)?,
        Command::Logs { log, lines } => logs(&Paths::new(name)?, log.as_deref(), lines)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn start(name: &str, up: args::Up) -> Result<()> {
    let config = ClusterConfig {
        nodes: up.nodes,
        node_monitor_grace_s: up.node_monitor_grace,
        kubelet_status_update_s: up.kubelet_status_update,
        etcd_no_fsync: !up.etcd_fsync,
        apiserver_args: up.apiserver_arg,
        controller_manager_args: up.controller_manager_arg,
        images: up.image,
        ..ClusterConfig::new(name)
    };
    if up.foreground {
        let cluster = Cluster::start(config)?;
        print(format_args!("export KUBECONFIG={}", cluster.host_kubeconfig().display()))?;
        print(format_args!("Enter, or the end of this program, ends the cluster."))?;
        let _any_input = io::stdin().read_line(&mut String::new());
        return cluster.down();
    }
    let cluster = Cluster::start_detached(config)?;
    print(format_args!("export KUBECONFIG={}", cluster.host_kubeconfig().display()))?;
    Ok(())
}

fn down(name: &str, all: bool) -> Result<()> {
    let names = if all { Cluster::names() } else { vec![name.to_owned()] };
    for name in names {
        if Cluster::down_by_name(&name)? {
            print(format_args!("cluster '{name}' is down"))?;
        } else {
            print(format_args!("no cluster '{name}' was up"))?;
        }
    }
    Ok(())
}

fn status(name: &str) -> Result<()> {
    let others: Vec<String> = Cluster::names().into_iter().filter(|other| other != name).collect();
    if !others.is_empty() {
        print(format_args!("other clusters: {}", others.join(", ")))?;
    }
    let cluster = Cluster::attach(name)?;
    let status = cluster.status()?;
    let kind = if status.owned { ", ends with the program that started it" } else { "" };
    print(format_args!("cluster '{name}', up for {} s{kind}", status.up_s))?;
    for (component, runs) in &status.components {
        print(format_args!("  {component:<20} {}", if *runs { "runs" } else { "dead" }))?;
    }
    let faults = cluster.faults();
    for (node, power) in &status.nodes {
        let mut words = vec![if *power { "has power" } else { "no power" }];
        if !faults.has_link(node)? {
            words.push("no link");
        }
        if faults.is_frozen(node)? {
            words.push("frozen");
        }
        print(format_args!("  {node:<20} {}", words.join(", ")))?;
    }
    print(format_args!("export KUBECONFIG={}", cluster.host_kubeconfig().display()))?;
    Ok(())
}

fn kubectl(cluster: &Cluster, arguments: &[String]) -> Result<ExitCode> {
    let program = cluster.program("kubectl");
    let error = std::process::Command::new(&program)
        .arg(format!("--kubeconfig={}", cluster.host_kubeconfig().display()))
        .args(arguments)
        .exec();
    Err(error).with_context(|| format!("starting {}", program.display()))
}

fn hurt(cluster: &Cluster, fault: &Fault) -> Result<()> {
    let faults = cluster.faults();
    if let Some((component, action)) = fault.component() {
        return match action {
            Action::Kill => faults.kill(component).and_then(tell),
            Action::Restart => faults.restart(component).and_then(tell),
        };
    }
    match fault {
        Fault::PowerOff { node } => faults.power_off(node).and_then(tell),
        Fault::PowerOn { node, no_wait } => {
            let start = Instant::now();
            faults.power_on(node)?;
            if !no_wait {
                wait_for_reboot(cluster, node)?;
                print(format_args!("{node} is Ready after {:.1} s", start.elapsed().as_secs_f64()))?;
            }
            Ok(())
        }
        Fault::LinkDown { node } => faults.link_down(node).and_then(tell),
        Fault::LinkUp { node } => faults.link_up(node).and_then(tell),
        Fault::Freeze { node } => faults.freeze(node).and_then(tell),
        Fault::Thaw { node } => faults.thaw(node).and_then(tell),
        Fault::FreezeProcess { pid } => faults.freeze_process(*pid).and_then(tell),
        Fault::ThawProcess { pid } => faults.thaw_process(*pid).and_then(tell),
        Fault::KillContainer { pod, container, signal } => {
            let (namespace, pod) = pod.split_once('/').unwrap_or(("default", pod));
            let signal = parse_signal(signal)?;
            runtime()?
                .block_on(async {
                    let client = cluster.client().await?;
                    faults.kill_container(&client, namespace, pod, container.as_deref(), signal).await
                })
                .and_then(tell)
        }
        // The control plane's are dealt with above.
        _ => Ok(()),
    }
}

fn tell(inflicted: Inflicted) -> Result<()> {
    print(format_args!("{} done", unix_millis(inflicted.wall)))
}

/// A line on stdout. `println!` would panic where a reader like `head` has enough.
fn print(line: std::fmt::Arguments<'_>) -> Result<()> {
    writeln!(io::stdout(), "{line}").context("printing")
}

fn parse_signal(name: &str) -> Result<Signal> {
    let upper = name.to_uppercase();
    let full = if upper.starts_with("SIG") { upper } else { format!("SIG{upper}") };
    Signal::from_str(&full).map_err(|_| anyhow!("'{name}' is no signal: take KILL, TERM, STOP, …"))
}

fn wait_for_reboot(cluster: &Cluster, node: &str) -> Result<()> {
    runtime()?.block_on(cluster.wait_node_ready(node, true, READY_LIMIT)).map(drop)
}

fn load_image(cluster: &Cluster, archive: &Path) -> Result<()> {
    let progress = Progress::stderr();
    if archive == Path::new("hotstandby") {
        cluster.load_image(&image::hotstandby_archive(&progress)?)?;
        print(format_args!("{}", image::HOTSTANDBY_IMAGE))?;
        return Ok(());
    }
    cluster.load_image(archive)
}

fn ask(cluster: &Cluster, wanted: &args::Client) -> Result<()> {
    let config = ClientConfig {
        period: Duration::from_millis(wanted.period_ms),
        ..ClientConfig::from_url(&wanted.url)?
    };
    let length = Duration::try_from_secs_f64(wanted.seconds)
        .map_err(|_| anyhow!("{} is no number of seconds", wanted.seconds))?;
    let netns = match wanted.from.as_str() {
        "host" => None,
        "cp" => Some(cluster.netns("cp")),
        node => Some(cluster.node(node)?.netns()),
    };
    let (zero, wall) = (Instant::now(), SystemTime::now());
    let client = Client::start(netns, config)?;
    std::thread::sleep(length);
    let trace = client.stop()?;
    print_trace(&trace, |instant| unix_millis(wall + instant.saturating_duration_since(zero)))
}

/// Every change of who answers, every gap, and a line of totals; times are Unix milliseconds.
fn print_trace(trace: &Trace, when: impl Fn(Instant) -> u128) -> Result<()> {
    let mut lines: Vec<(u128, String)> = Vec::new();
    let mut last = "nobody";
    for sample in trace.samples() {
        if let Some(who) = sample.who()
            && who != last
        {
            lines.push((when(sample.start), format!("answered by {who} (was {last})")));
            last = who;
        }
    }
    for gap in trace.gaps() {
        let end = if gap.recovered.is_some() { "" } else { ", open to the end" };
        let length = gap.duration.as_secs_f64() * 1000.0;
        lines.push((when(gap.first_fail), format!("gap of {length:.1} ms, {} failed{end}", gap.failed)));
    }
    lines.sort();
    let mut out = io::stdout().lock();
    for (time, line) in lines {
        writeln!(out, "{time} {line}").context("printing")?;
    }
    writeln!(out, "{}", summary(trace)).context("printing")
}

fn resolve(cluster: &Cluster, query: &args::Resolve) -> Result<()> {
    let kind = match query.kind {
        RecordKind::A => dns::Kind::A,
        RecordKind::Aaaa => dns::Kind::Aaaa,
        RecordKind::Srv => dns::Kind::Srv,
    };
    let answer = dns::resolve(&cluster.netns(&query.from), &query.host, kind)?;
    if !answer.exists {
        bail!("there is no name {}", query.host);
    }
    let ttl_s = answer.ttl_s.unwrap_or_default();
    for record in &answer.records {
        match record {
            dns::Record::Address(ip) => print(format_args!("{ip} ({ttl_s} s)"))?,
            dns::Record::Target(name, port) => print(format_args!("{name}:{port} ({ttl_s} s)"))?,
        }
    }
    Ok(())
}

fn logs(paths: &Paths, log: Option<&str>, lines: usize) -> Result<()> {
    let folder = paths.logs();
    let entries = fs::read_dir(&folder)
        .map_err(|_| anyhow!("no logs of a cluster '{}': none was ever started here", paths.name()))?;
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_string_lossy().strip_suffix(".log").map(str::to_owned))
        .collect();
    names.sort();
    let Some(wanted) = log else {
        print(format_args!("{} holds: {}", folder.display(), names.join(" ")))?;
        return Ok(());
    };
    if !names.iter().any(|name| name == wanted) {
        bail!("no log '{wanted}': there are {}", names.join(", "));
    }
    let path = folder.join(format!("{wanted}.log"));
    let text = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    for line in all.iter().skip(all.len().saturating_sub(lines)) {
        print(format_args!("{line}"))?;
    }
    Ok(())
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("making a runtime")
}

fn unix_millis(time: SystemTime) -> u128 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()
}
