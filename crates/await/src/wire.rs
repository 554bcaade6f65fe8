//! What keeper and elector say to each other: short lines over a socket pair.
//!
//! Text, so that `strace` shows it; times are nanoseconds of the boot clock.

use std::fmt;
use std::time::Duration;

/// From the elector to the keeper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// The command gets SIGTERM at the one and must be dead by the other, whatever happens to the elector.
    Arm {
        /// When SIGTERM is due.
        term_at: Duration,
        /// When SIGKILL is due.
        kill_at: Duration,
    },
    /// Start the command, unless it is later than this.
    Start {
        /// Passed to the command.
        term: u64,
        /// It must not be executed after this.
        not_after: Duration,
    },
    /// SIGTERM now, SIGKILL at this time.
    Stop {
        /// When patience ends.
        kill_at: Duration,
    },
    /// SIGKILL now.
    Kill,
    /// The elector has done all it had to; the keeper may end with this code.
    Done {
        /// The exit code.
        code: u8,
    },
}

/// From the keeper to the elector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// The gatekeeper was asked to end, by this signal.
    Asked {
        /// The signal's number.
        signal: i32,
    },
    /// The command runs in a process group with this number.
    Started {
        /// Its process ID, and its group's.
        pid: i32,
    },
    /// The order to start came too late: nothing was started, and nothing will be.
    Missed,
    /// The command itself ended; what it started may still run.
    Exited {
        /// The command's exit code, or 128 + signal.
        code: u8,
    },
    /// The command and all its descendants are dead and reaped.
    Clear,
    /// A deadline of [`Order::Arm`] was over, and the command got SIGTERM or SIGKILL for it.
    Fired,
    /// To be logged: the keeper itself never writes to a pipe that may be full.
    Say(String),
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arm { term_at, kill_at } => {
                writeln!(f, "arm {} {}", term_at.as_nanos(), kill_at.as_nanos())
            }
            Self::Start { term, not_after } => writeln!(f, "start {term} {}", not_after.as_nanos()),
            Self::Stop { kill_at } => writeln!(f, "stop {}", kill_at.as_nanos()),
            Self::Kill => writeln!(f, "kill"),
            Self::Done { code } => writeln!(f, "done {code}"),
        }
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked { signal } => writeln!(f, "asked {signal}"),
            Self::Started { pid } => writeln!(f, "started {pid}"),
            Self::Missed => writeln!(f, "missed"),
            Self::Exited { code } => writeln!(f, "exited {code}"),
            Self::Clear => writeln!(f, "clear"),
            Self::Fired => writeln!(f, "fired"),
            Self::Say(text) => writeln!(f, "say {}", text.replace('\n', " ")),
        }
    }
}

impl Order {
    /// Reads a line; `None` for one that is no order, which only a bug can send.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let order = match words.next()? {
            "arm" => Self::Arm { term_at: moment(words.next()?)?, kill_at: moment(words.next()?)? },
            "start" => Self::Start { term: words.next()?.parse().ok()?, not_after: moment(words.next()?)? },
            "stop" => Self::Stop { kill_at: moment(words.next()?)? },
            "kill" => Self::Kill,
            "done" => Self::Done { code: words.next()?.parse().ok()? },
            _ => return None,
        };
        words.next().is_none().then_some(order)
    }
}

impl Word {
    /// Reads a line; `None` for one that is no word, which only a bug can send.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
        match (kind, rest) {
            ("asked", rest) => Some(Self::Asked { signal: rest.parse().ok()? }),
            ("started", rest) => Some(Self::Started { pid: rest.parse().ok()? }),
            ("missed", "") => Some(Self::Missed),
            ("exited", rest) => Some(Self::Exited { code: rest.parse().ok()? }),
            ("clear", "") => Some(Self::Clear),
            ("fired", "") => Some(Self::Fired),
            ("say", rest) => Some(Self::Say(rest.to_owned())),
            _ => None,
        }
    }
}

fn moment(text: &str) -> Option<Duration> {
    text.parse().ok().map(Duration::from_nanos)
}

/// Cuts what arrives into lines.
#[derive(Debug, Default)]
pub(crate) struct Lines(Vec<u8>);

impl Lines {
    /// Takes bytes in and returns the lines that are complete, without their ends.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Vec<String> {
        self.0.extend_from_slice(bytes);
        let Some(last) = self.0.iter().rposition(|byte| *byte == b'\n') else { return Vec::new() };
        let rest = self.0.split_off(last + 1);
        let whole = std::mem::replace(&mut self.0, rest);
        String::from_utf8_lossy(&whole).lines().map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_what_is_understood() {
        let at = Duration::new(12, 345_678_901);
        let orders = [
            Order::Arm { term_at: at, kill_at: at + Duration::from_nanos(1) },
            Order::Start { term: 7, not_after: at },
            Order::Stop { kill_at: at },
            Order::Kill,
            Order::Done { code: 255 },
        ];
        for order in orders {
            let line = order.to_string();
            assert_eq!(Order::parse(line.trim_end()), Some(order), "{line}");
        }
        let words = [
            Word::Asked { signal: 15 },
            Word::Started { pid: 42 },
            Word::Missed,
            Word::Exited { code: 137 },
            Word::Clear,
            Word::Fired,
            Word::Say("a b c".to_owned()),
        ];
        for word in words {
            let line = word.to_string();
            assert_eq!(Word::parse(line.trim_end()), Some(word), "{line}");
        }
    }

    #[test]
    fn half_a_deadline_is_no_deadline() {
        for line in ["", "arm", "arm 5", "arm 5 x", "arm 5 6 7", "start 7", "done 256", "stop -1", "hello"] {
            assert_eq!(Order::parse(line), None, "{line:?}");
        }
    }

    #[test]
    fn lines_come_whole_however_they_are_cut() {
        let mut lines = Lines::default();
        assert_eq!(lines.feed(b"arm 1"), Vec::<String>::new());
        assert_eq!(lines.feed(b"2 34\nki"), ["arm 12 34"]);
        assert_eq!(lines.feed(b"ll\ndone 0\n"), ["kill", "done 0"]);
    }

    #[test]
    fn a_message_of_two_lines_does_not_become_a_word_of_its_own() {
        let text = Word::Say("first\nclear".to_owned()).to_string();
        assert_eq!(text, "say first clear\n");
    }
}
