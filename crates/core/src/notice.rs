//! Telling members their role: what is sent, how often, and what counts as delivered.
//!
//! The group sends one try at a time and decides after each whether another follows, so nothing is ever sent to a pod
//! that is no longer what the notice says. Notices carry the term: who hears one twice, or an old one, can tell.

use crate::action::MemberRef;
use crate::ids::{Term, Uid};
use crate::spec::SpecError;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Limits of `interval`.
const INTERVAL: (Duration, Duration) = (Duration::from_millis(50), Duration::from_mins(1));
/// Limits of `deadline`.
const DEADLINE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_hours(1));
/// The longest UDP message: what fits into one frame of any network.
pub const LONGEST_MESSAGE: usize = 512;

/// A member's role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// It holds the seat.
    Active,
    /// It does not.
    Standby,
}

impl Role {
    /// The text in messages, labels of metrics and status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Standby => "standby",
        }
    }

    /// The role with this text.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Active, Self::Standby].into_iter().find(|role| role.as_str() == text)
    }
}

/// One notice the group asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoticeSpec {
    /// How it is sent.
    pub by: NoticeBy,
    /// Who is told: members that take one of these roles.
    pub roles: Vec<Role>,
    /// UDP: a datagram back from the pod ends the tries. An HTTP answer from 200 to 299 always does.
    pub acknowledge: bool,
    /// Between the starts of two tries.
    pub interval: Duration,
    /// How long a try waits for its answer.
    pub timeout: Duration,
    /// After the first try, when no more is made.
    pub deadline: Duration,
}

/// How a notice is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoticeBy {
    /// A datagram to this port with this text, in which `{role}`, `{term}` and `{pod}` are filled in.
    Udp {
        /// The port.
        port: u16,
        /// The text.
        message: Arc<str>,
    },
    /// A POST with role and term to this port and path.
    Http {
        /// The port.
        port: u16,
        /// The path.
        path: Arc<str>,
        /// HTTPS without verification of the certificate.
        tls: bool,
    },
}

impl NoticeSpec {
    /// Whether the member can say that it heard.
    pub const fn is_acknowledged(&self) -> bool {
        self.acknowledge || matches!(self.by, NoticeBy::Http { .. })
    }

    /// Checks the limits; `field` is the notice's path in the YAML.
    pub fn check(&self, field: &str) -> Result<(), SpecError> {
        let bad = |name: &str, problem: String, remedy: &str| {
            Err(SpecError::new(format!("{field}.{name}"), problem, remedy))
        };
        let limits = [
            ("interval", self.interval, INTERVAL),
            ("timeout", self.timeout, INTERVAL),
            ("deadline", self.deadline, DEADLINE),
        ];
        for (name, value, (least, most)) in limits {
            if value < least || value > most {
                let problem = format!("{value:?} is not within {least:?} <= {name} <= {most:?}");
                return bad(name, problem, "write a duration such as 200ms or 2s");
            }
        }
        if self.roles.is_empty() {
            return bad(
                "roles",
                "is empty, so nobody is told".into(),
                "write [Active], or [Active, Standby]",
            );
        }
        match &self.by {
            NoticeBy::Udp { message, .. } if message.is_empty() || message.len() > LONGEST_MESSAGE => {
                let problem = format!("has {} bytes, 1 to {LONGEST_MESSAGE} allowed", message.len());
                bad("udp.message", problem, "write a shorter message")
            }
            NoticeBy::Http { path, .. } if !path.starts_with('/') => {
                let problem = format!("{path:?} does not begin with '/'");
                bad("http.path", problem, "write the path as the server sees it, for example /role")
            }
            NoticeBy::Udp { .. } | NoticeBy::Http { .. } => Ok(()),
        }
    }
}

/// One try of one notice to one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// The member.
    pub to: MemberRef,
    /// Its address.
    pub ip: IpAddr,
    /// Its role.
    pub role: Role,
    /// The seat by which it has that role: to be read live before it is told to be active.
    pub seat: Uid,
    /// The term at which it has that role.
    pub term: Term,
    /// How it is sent.
    pub by: NoticeBy,
    /// Whether an answer is waited for.
    pub acknowledge: bool,
    /// For how long.
    pub timeout: Duration,
}

impl Notification {
    /// The datagram's text.
    pub fn text(&self, message: &str) -> String {
        message
            .replace("{role}", self.role.as_str())
            .replace("{term}", &self.term.to_string())
            .replace("{pod}", &self.to.name)
    }
}

/// What became of a try that went out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It was sent, and nothing says whether it was heard.
    Sent,
    /// The member acknowledged it.
    Acknowledged,
}

/// What a member was told, as it stands in status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The member.
    pub uid: Uid,
    /// The role it was told.
    pub role: Role,
    /// At which term.
    pub term: Term,
    /// Tries of all notices together.
    pub tries: u32,
    /// Whether all notices that can be acknowledged were; `None`: none can.
    pub acknowledged: Option<bool>,
    /// Why the newest try failed, while it is not acknowledged.
    pub error: Option<Arc<str>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> NoticeSpec {
        NoticeSpec {
            by: NoticeBy::Udp { port: 10001, message: "GoActiveDuringFailover".into() },
            roles: vec![Role::Active],
            acknowledge: false,
            interval: Duration::from_millis(200),
            timeout: Duration::from_millis(500),
            deadline: Duration::from_secs(2),
        }
    }

    #[test]
    fn limits_name_their_field() {
        assert!(spec().check("spec.notify[0]").is_ok());
        let bad = NoticeSpec { interval: Duration::ZERO, ..spec() };
        assert_eq!(bad.check("spec.notify[0]").unwrap_err().field, "spec.notify[0].interval");
        let bad = NoticeSpec { roles: Vec::new(), ..spec() };
        assert_eq!(bad.check("spec.notify[0]").unwrap_err().field, "spec.notify[0].roles");
        let bad = NoticeSpec { by: NoticeBy::Udp { port: 1, message: "".into() }, ..spec() };
        assert_eq!(bad.check("spec.notify[0]").unwrap_err().field, "spec.notify[0].udp.message");
    }

    #[test]
    fn a_message_without_placeholders_goes_out_to_the_letter() {
        let notice = Notification {
            to: MemberRef { name: "web-0".into(), uid: "p0".into() },
            ip: std::net::Ipv4Addr::LOCALHOST.into(),
            role: Role::Active,
            seat: "s".into(),
            term: Term(7),
            by: spec().by,
            acknowledge: false,
            timeout: Duration::from_millis(500),
        };
        assert_eq!(notice.text("GoActiveDuringFailover"), "GoActiveDuringFailover");
        assert_eq!(notice.text("{role} {term} {pod} {x}"), "active 7 web-0 {x}");
    }
}
