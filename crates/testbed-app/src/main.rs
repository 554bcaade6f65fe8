//! The pod of the tests: it serves, and turns bad in many ways when told to.
//!
//! - `/` answers `<host name> <start id>`: who it is, and which life of it.
//! - `/health` and `/ready` answer 200, or what `/ctl?health=good|bad|hang` and `/ctl?ready=good|bad|hang` set.
//! - `/ctl?health=exit` ends it with code 3.
//! - UDP port 10001: prints what it receives. `UDP_LOSE=2` throws the first two away, `UDP_ACK=yes` answers the others.
//! - `/notices` lists what came there and by POST, one line each: nanoseconds since 1970, `udp` or `http`, and what it said.
//! - TCP port 7000: says its host name, then echoes. With `CLOSE_ON_STANDBY=yes` a notice that it is a standby ends these connections.
//! - `testbed-app pause` only waits for a signal: the pod sandbox's image.
//! - `testbed-app tick FILE` notes in a file, shared by all nodes, that it is alive, every 2 ms on the machine's boot clock. A
//!   command that must not run twice, for the gatekeeper's tests. `CRASH_AFTER` ends it with code 3. It serves only if `PORT` is given.
//!
//! `PORT` is the HTTP port (8080). On SIGTERM it ends at once, or serves on for `LINGER` (`1100ms`, `2s`).

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::signal::{SigSet, Signal};

/// Between two signs of life: by so much the last one may be older than the death.
const TICK: Duration = Duration::from_millis(2);
const MAX_HEAD: usize = 8 * 1024;
const STACK: usize = 64 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Good,
    Bad,
    Hang,
}

impl Mood {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "good" => Some(Self::Good),
            "bad" => Some(Self::Bad),
            "hang" => Some(Self::Hang),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Hang => "hang",
        }
    }
}

/// A mood all threads see.
#[derive(Debug, Default)]
struct Shared(AtomicU8);

impl Shared {
    fn get(&self) -> Mood {
        match self.0.load(Ordering::Relaxed) {
            0 => Mood::Good,
            1 => Mood::Bad,
            _ => Mood::Hang,
        }
    }

    fn set(&self, mood: Mood) {
        self.0.store(mood as u8, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct App {
    host: String,
    start_id: u128,
    health: Shared,
    ready: Shared,
    notices: Mutex<Vec<String>>,
    /// Connections that a notice ends; `None`: it ends none.
    held: Option<Mutex<Vec<TcpStream>>>,
}

/// One HTTP request, as far as anybody here asks.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    target: String,
    /// Of a POST: its headers of ours and its body.
    notice: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
enum Reply {
    Text(u16, String),
    Hang,
    Exit,
}

impl App {
    fn reply(&self, target: &str) -> Reply {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        match path {
            "/" => Reply::Text(200, format!("{} {}\n", self.host, self.start_id)),
            "/health" => Self::mood(&self.health),
            "/ready" => Self::mood(&self.ready),
            "/ctl" => self.control(query),
            "/notices" => {
                let all = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
                Reply::Text(200, all.iter().flat_map(|line| [line, "\n"]).collect())
            }
            _ => Reply::Text(404, "no such page\n".to_owned()),
        }
    }

    fn note(&self, notice: &str) {
        let line = format!("{} {notice}", unix_nanos());
        say(&line);
        self.notices.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    /// A connection that lasts.
    fn hold(&self, stream: &TcpStream) {
        if let (Some(held), Ok(stream)) = (&self.held, stream.try_clone()) {
            held.lock().unwrap_or_else(PoisonError::into_inner).push(stream);
        }
    }

    /// Ends all that last, before the notice is acknowledged.
    fn let_go(&self) {
        let Some(held) = &self.held else { return };
        for stream in held.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ended_already = stream.shutdown(std::net::Shutdown::Both);
        }
    }

    fn mood(shared: &Shared) -> Reply {
        match shared.get() {
            Mood::Good => Reply::Text(200, "good\n".to_owned()),
            Mood::Bad => Reply::Text(500, "bad\n".to_owned()),
            Mood::Hang => Reply::Hang,
        }
    }

    fn control(&self, query: &str) -> Reply {
        for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match (key, value, Mood::parse(value)) {
                ("health", "exit", _) => return Reply::Exit,
                ("health", _, Some(mood)) => self.health.set(mood),
                ("ready", _, Some(mood)) => self.ready.set(mood),
                _ => return Reply::Text(400, format!("{key}={value} is not understood\n")),
            }
        }
        let (health, ready) = (self.health.get().name(), self.ready.get().name());
        Reply::Text(200, format!("health={health} ready={ready}\n"))
    }

    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        // No time-out: a client may keep an idle connection open for as long as it likes.
        let Some(request) = read_request(&mut stream)? else { return Ok(()) };
        if let Some(notice) = &request.notice {
            self.note(&format!("http {} {notice}", request.target));
            if notice.starts_with("role=standby ") {
                self.let_go();
            }
            return stream.write_all(response(200, "noted\n").as_bytes());
        }
        match self.reply(&request.target) {
            Reply::Text(status, body) => stream.write_all(response(status, &body).as_bytes()),
            // Until the client gives up.
            Reply::Hang => io::copy(&mut stream, &mut io::sink()).map(drop),
            Reply::Exit => std::process::exit(3),
        }
    }
}

/// One request, read up to the end of its head, and of its body if it is a POST.
fn read_request(stream: &mut impl Read) -> io::Result<Option<Request>> {
    let (mut all, mut buffer) = (Vec::new(), [0_u8; 1024]);
    loop {
        if let Some(request) = whole_request(&String::from_utf8_lossy(&all)) {
            return Ok(Some(request));
        }
        let count = stream.read(&mut buffer)?;
        if count == 0 || all.len() > MAX_HEAD {
            return Ok(None);
        }
        all.extend_from_slice(buffer.get(..count).unwrap_or_default());
    }
}

fn whole_request(text: &str) -> Option<Request> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut words = head.lines().next()?.split(' ');
    let (method, target) = (words.next()?, words.next()?.to_owned());
    if method != "POST" {
        return Some(Request { target, notice: None });
    }
    let header = |wanted: &str| {
        let mut all = head.lines().filter_map(|line| line.split_once(':'));
        all.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
    };
    let length: usize = header("content-length").and_then(|length| length.parse().ok()).unwrap_or_default();
    let body = body.get(..length)?;
    let role = header("hotstandby-role").unwrap_or("-");
    let term = header("hotstandby-term").unwrap_or("-");
    Some(Request { target, notice: Some(format!("role={role} term={term} {body}")) })
}

fn response(status: u16, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} {}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}",
        if status == 200 { "OK" } else { "Not OK" }
    )
}

fn unix_nanos() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()
}

fn parse_duration(text: &str) -> Option<Duration> {
    let (number, scale) = match text.strip_suffix("ms") {
        Some(number) => (number, 0.001),
        None => (text.strip_suffix('s')?, 1.0),
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * scale).ok()
}

fn spawn(work: impl FnOnce() + Send + 'static) {
    // Out of threads: the connection is dropped, which is what an overloaded server does.
    let _dropped = thread::Builder::new().stack_size(STACK).spawn(work);
}

/// Accepts for ever; an error of one connection is none of the others' business.
fn accept(listener: &TcpListener, serve: impl Fn(TcpStream) + Clone + Send + 'static) {
    for stream in listener.incoming() {
        let Ok(stream) = stream else {
            thread::sleep(Duration::from_millis(5));
            continue;
        };
        let serve = serve.clone();
        spawn(move || serve(stream));
    }
}

fn note_datagrams(app: &App) {
    let Ok(socket) = UdpSocket::bind("0.0.0.0:10001") else { return };
    let mut lose: u32 = std::env::var("UDP_LOSE").ok().and_then(|text| text.parse().ok()).unwrap_or_default();
    let acknowledges = std::env::var_os("UDP_ACK").is_some();
    let mut buffer = [0_u8; 2048];
    while let Ok((count, from)) = socket.recv_from(&mut buffer) {
        if lose > 0 {
            lose -= 1;
            continue;
        }
        let text = String::from_utf8_lossy(buffer.get(..count).unwrap_or_default()).into_owned();
        app.note(&format!("udp {text}"));
        if acknowledges {
            let _gone_already = socket.send_to(b"ok", from);
        }
    }
}

fn echo(app: Arc<App>) {
    let Ok(listener) = TcpListener::bind("0.0.0.0:7000") else { return };
    accept(&listener, move |mut stream| {
        app.hold(&stream);
        let greeting = format!("{}\n", app.host);
        let greeted = stream.set_nodelay(true).and_then(|()| stream.write_all(greeting.as_bytes()));
        if let (Ok(()), Ok(mut reader)) = (greeted, stream.try_clone()) {
            let _closed = io::copy(&mut reader, &mut stream);
        }
    });
}

fn say(line: &str) {
    let mut out = io::stdout().lock();
    let _nobody_listens = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// The boot clock, which all containers of the machine share, and which goes on in a suspended machine.
fn boot_nanos() -> u128 {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME)
        .map_or(0, |time| Duration::from(time).as_nanos())
}

fn duration_from(variable: &str) -> Option<Duration> {
    std::env::var(variable).ok().and_then(|text| parse_duration(&text))
}

/// Appends `TIME what INSTANCE TERM` lines until it is told to stop. Each is one write: what was written survives any end of
/// this process, and lines of several processes do not mix.
fn tick(path: &str, signals: SigSet) -> io::Result<ExitCode> {
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    let host = nix::unistd::gethostname().unwrap_or_default().to_string_lossy().into_owned();
    let instance = format!("{host}/{}", boot_nanos());
    let term = std::env::var("HOTSTANDBY_TERM").unwrap_or_else(|_| "-".to_owned());
    let note = |file: &mut File, what: &str| {
        file.write_all(format!("{} {what} {instance} {term}\n", boot_nanos()).as_bytes())
    };
    note(&mut file, "start")?;
    let begin = Instant::now();
    let told = Arc::new(AtomicBool::new(false));
    let heard = told.clone();
    spawn(move || {
        let _any = signals.wait();
        heard.store(true, Ordering::Relaxed);
    });
    let (crash, linger) = (duration_from("CRASH_AFTER"), duration_from("LINGER").unwrap_or_default());
    let mut end = None;
    loop {
        thread::sleep(TICK);
        if crash.is_some_and(|after| begin.elapsed() > after) {
            return Ok(ExitCode::from(3));
        }
        if end.is_none() && told.load(Ordering::Relaxed) {
            note(&mut file, "told")?;
            end = Instant::now().checked_add(linger);
        }
        if end.is_some_and(|end| Instant::now() >= end) {
            note(&mut file, "stop")?;
            return Ok(ExitCode::SUCCESS);
        }
        note(&mut file, "alive")?;
    }
}

fn serve(port: &str) -> io::Result<()> {
    let app = Arc::new(App {
        host: nix::unistd::gethostname().unwrap_or_default().to_string_lossy().into_owned(),
        start_id: unix_nanos(),
        health: Shared::default(),
        ready: Shared::default(),
        notices: Mutex::default(),
        held: std::env::var_os("CLOSE_ON_STANDBY").map(|_| Mutex::default()),
    });
    let listener = TcpListener::bind(format!("0.0.0.0:{port}"))?;
    let hearer = app.clone();
    spawn(move || note_datagrams(&hearer));
    let holder = app.clone();
    spawn(move || echo(holder));
    say(&format!("serving {} on port {port}", app.host));
    spawn(move || {
        accept(&listener, move |stream| {
            let _client_went_away = app.serve(stream);
        });
    });
    Ok(())
}

fn main() -> ExitCode {
    // The first process of a container is sent no signal it does not ask for.
    let signals = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT]);
    if signals.thread_block().is_err() {
        return ExitCode::FAILURE;
    }
    let mut arguments = std::env::args().skip(1);
    let (what, file) = (arguments.next(), arguments.next());
    if what.as_deref() == Some("pause") {
        let _any = signals.wait();
        return ExitCode::SUCCESS;
    }
    let ticks = file.filter(|_| what.as_deref() == Some("tick"));
    let usual = ticks.is_none().then(|| "8080".to_owned());
    if let Some(port) = std::env::var("PORT").ok().or(usual)
        && let Err(error) = serve(&port)
    {
        say(&format!("cannot listen on port {port}: {error}"));
        return ExitCode::FAILURE;
    }
    if let Some(path) = ticks {
        return tick(&path, signals).unwrap_or_else(|error| {
            say(&format!("cannot note signs of life in {path}: {error}"));
            ExitCode::FAILURE
        });
    }
    let _any = signals.wait();
    if let Some(linger) = duration_from("LINGER") {
        thread::sleep(linger);
    }
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app() -> App {
        App {
            host: "web-1".into(),
            start_id: 7,
            health: Shared::default(),
            ready: Shared::default(),
            notices: Mutex::default(),
            held: None,
        }
    }

    #[test]
    fn it_says_who_it_is() {
        assert_eq!(app().reply("/"), Reply::Text(200, "web-1 7\n".into()));
    }

    #[test]
    fn health_and_ready_are_switched_apart() {
        let app = app();
        assert_eq!(app.reply("/ctl?health=bad"), Reply::Text(200, "health=bad ready=good\n".into()));
        assert_eq!(app.reply("/health"), Reply::Text(500, "bad\n".into()));
        assert_eq!(app.reply("/ready"), Reply::Text(200, "good\n".into()));
        app.reply("/ctl?health=hang&ready=bad");
        assert_eq!(app.reply("/health"), Reply::Hang);
        assert_eq!(app.reply("/ready"), Reply::Text(500, "bad\n".into()));
        app.reply("/ctl?health=good&ready=good");
        assert_eq!(app.reply("/health"), Reply::Text(200, "good\n".into()));
        assert_eq!(app.reply("/ctl?health=exit"), Reply::Exit);
        assert!(matches!(app.reply("/ctl?health=odd"), Reply::Text(400, _)));
    }

    #[test]
    fn a_request_is_read_up_to_its_end() {
        let mut whole: &[u8] = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
        let request = Request { target: "/health".into(), notice: None };
        assert_eq!(read_request(&mut whole).unwrap(), Some(request));
        let mut half: &[u8] = b"GET /health HTTP/1.1\r\nHost: x\r\n";
        assert_eq!(read_request(&mut half).unwrap(), None);
    }

    #[test]
    fn a_notice_is_read_with_its_body_and_listed() {
        let mut post: &[u8] = b"POST /role HTTP/1.1\r\nHotstandby-Role: active\r\nhotstandby-term: 7\r\nContent-Length: 2\r\n\r\n{}";
        let request = read_request(&mut post).unwrap().unwrap();
        assert_eq!(request.notice.as_deref(), Some("role=active term=7 {}"));
        let mut half: &[u8] = b"POST /role HTTP/1.1\r\nContent-Length: 2\r\n\r\n{";
        assert_eq!(read_request(&mut half).unwrap(), None);
        let app = app();
        app.note("udp GoActive");
        assert!(matches!(app.reply("/notices"), Reply::Text(200, text) if text.ends_with(" udp GoActive\n")));
    }

    #[test]
    fn lingering_is_given_in_two_units() {
        assert_eq!(parse_duration("1100ms"), Some(Duration::from_millis(1100)));
        assert_eq!(parse_duration("1.5s"), Some(Duration::from_millis(1500)));
        assert_eq!(parse_duration("5"), None);
        assert_eq!(parse_duration("-1s"), None);
    }
}
