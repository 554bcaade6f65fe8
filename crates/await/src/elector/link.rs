//! The elector's end of the socket to the keeper.

use crate::wire::{Lines, Order, Word};
use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream as StdStream;
use tokio::net::UnixStream;

/// What the keeper says; orders go the other way.
pub(super) struct KeeperLink {
    stream: UnixStream,
    lines: Lines,
    waiting: VecDeque<Word>,
}

impl KeeperLink {
    /// The keeper handed its socket over as stdin.
    pub(super) fn from_stdin() -> io::Result<Self> {
        let stream = StdStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
        stream.set_nonblocking(true)?;
        Ok(Self { stream: UnixStream::from_std(stream)?, lines: Lines::default(), waiting: VecDeque::new() })
    }

    /// The next word; `None` once the keeper is dead.
    pub(super) async fn hear(&mut self) -> Option<Word> {
        loop {
            if let Some(word) = self.waiting.pop_front() {
                return Some(word);
            }
            let mut buffer = [0; 1024];
            self.stream.readable().await.ok()?;
            match self.stream.try_read(&mut buffer) {
                Ok(0) => return None,
                Ok(length) => {
                    let lines = self.lines.feed(buffer.get(..length).unwrap_or_default());
                    self.waiting.extend(lines.iter().filter_map(|line| Word::parse(line)));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_broken) => return None,
            }
        }
    }

    /// Sends an order, and never waits. Whether it went out whole: else the keeper has been frozen for hours, or is dead.
    pub(super) fn order(&self, order: &Order) -> bool {
        let line = order.to_string();
        // Ready for a moment unless the buffer is full; a byte of an order is no order.
        self.stream.try_write(line.as_bytes()).is_ok_and(|sent| sent == line.len())
    }
}
