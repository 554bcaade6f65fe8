//! Messages for people, on stderr.
//!
//! The one rule: who guards the command must not wait for whoever reads stderr. It may be a pipe that is full and shared with the
//! command. So the keeper hands its messages to the elector while a command may run, and the elector's go
//! through a thread of their own, which drops what it cannot keep up with.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{Write, stderr};
use std::os::fd::AsFd;
use std::sync::OnceLock;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

/// Messages that may wait for a slow reader.
const WAITING: usize = 128;

/// How long the last messages may take at the end of the process.
const LAST_WORDS: Duration = Duration::from_millis(200);

enum Entry {
    Line(String),
    /// Everything before it is written.
    Mark(SyncSender<()>),
}

static WRITER: OnceLock<SyncSender<Entry>> = OnceLock::new();

/// Writes a line, and waits for the reader: only where nothing is guarded.
pub(crate) fn line(text: &str) {
    // Nobody to tell that nobody can be told.
    let _ = writeln!(stderr(), "hotstandby-await: {text}");
}

/// Writes a line if that needs no waiting: the keeper's last words, when nobody else writes any more.
pub(crate) fn line_if_read(text: &str) {
    let target = stderr();
    let mut fds = [PollFd::new(target.as_fd(), PollFlags::POLLOUT)];
    if poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0) {
        line(text);
    }
}

/// Starts the thread through which [`say`] writes.
pub(crate) fn start_writer() {
    let (sender, receiver) = sync_channel(WAITING);
    let write = move || {
        for entry in receiver {
            match entry {
                Entry::Line(text) => line(&text),
                // Nobody waits any more: too late.
                Entry::Mark(reached) => drop(reached.try_send(())),
            }
        }
    };
    let thread = std::thread::Builder::new().name("log".to_owned()).stack_size(64 * 1024);
    if thread.spawn(write).is_ok() {
        // A second start would be a bug without consequences.
        let _ = WRITER.set(sender);
    }
}

/// Hands a message to the writing thread; drops it where that is behind.
pub(crate) fn say(text: impl Into<String>) {
    if let Some(writer) = WRITER.get() {
        let _ = writer.try_send(Entry::Line(text.into()));
    }
}

/// Waits a moment until everything said so far is written.
pub(crate) fn flush() {
    let (sender, receiver) = sync_channel(1);
    if WRITER.get().is_some_and(|writer| writer.try_send(Entry::Mark(sender)).is_ok()) {
        let _ = receiver.recv_timeout(LAST_WORDS);
    }
}
