//! The request for a planned move: `hotstandby.dev/switchover: "term=7,to=web-1"`.

use crate::ids::Term;
use std::sync::Arc;

/// A parsed request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The term the asker saw: at any other the request is void.
    pub term: Term,
    /// The member to move to; `None`: the best candidate.
    pub to: Option<Arc<str>>,
}

/// The annotation's text makes no request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no switchover request; write term=TERM or term=TERM,to=POD")]
pub struct BadRequest(String);

impl Request {
    /// Parses the annotation. `id=…` is allowed and ignored: it lets the same request be made twice.
    pub fn parse(text: &str) -> Result<Self, BadRequest> {
        let bad = || BadRequest(text.to_owned());
        let (mut term, mut to) = (None, None);
        for part in text.split(',') {
            match part.trim().split_once('=').ok_or_else(bad)? {
                ("term", value) if term.is_none() => term = Some(Term(value.parse().map_err(|_| bad())?)),
                ("to", value) if to.is_none() && !value.is_empty() => to = Some(value.into()),
                ("id", _) => {}
                _ => return Err(bad()),
            }
        }
        Ok(Self { term: term.ok_or_else(bad)?, to })
    }
}

/// How a request ended, or stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Accepted, the seat has not moved yet.
    Pending,
    /// The seat moved.
    Done,
    /// It named another term: nothing was done.
    Void,
    /// It could not be followed: nothing was done.
    Refused,
}

impl Phase {
    /// The fixed text in `status.switchover.phase`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Done => "Done",
            Self::Void => "Void",
            Self::Refused => "Refused",
        }
    }

    /// The phase with this text.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Pending, Self::Done, Self::Void, Self::Refused]
            .into_iter()
            .find(|phase| phase.as_str() == text)
    }
}

/// The answer to a request, in `status.switchover`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The annotation's text.
    pub request: Arc<str>,
    /// How it ended.
    pub phase: Phase,
    /// Why.
    pub message: String,
}

impl Answer {
    /// Whether nothing more will come of the request.
    pub fn is_final(&self) -> bool {
        self.phase != Phase::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_parse_and_nonsense_is_refused() {
        let full = Request::parse("term=7,to=web-1").unwrap();
        assert_eq!(full, Request { term: Term(7), to: Some("web-1".into()) });
        assert_eq!(Request::parse("term=7,id=x").unwrap(), Request { term: Term(7), to: None });
        for bad in ["", "to=web-1", "term=x", "term=7,to=", "term=7,term=8", "term=7;to=a", "term=-1"] {
            assert!(Request::parse(bad).is_err(), "{bad:?}");
        }
    }
}
