//! Answers to switchover requests as Events, for groups without a status that could say them.

use hotstandby_core::action::Notice;
use hotstandby_core::switchover::{Answer, Phase};

/// What was answered last.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// A report was seen.
    heard: bool,
    last: Option<Answer>,
}

impl Answers {
    /// Notes what a report says, and gives back what is worth an Event: a request that was not followed. One that was followed
    /// shows by the Event of the move.
    ///
    /// The first report says nothing: what it answers was asked before this replica looked, and may have been answered by
    /// another, long ago.
    pub(super) fn note(&mut self, answer: Option<&Answer>) -> Option<Notice> {
        let before = std::mem::replace(&mut self.last, answer.cloned());
        if !std::mem::replace(&mut self.heard, true) {
            return None;
        }
        let answer = answer.filter(|answer| before.as_ref() != Some(*answer))?;
        let reason = match answer.phase {
            Phase::Void => "SwitchoverVoid",
            Phase::Refused => "SwitchoverRefused",
            Phase::Pending | Phase::Done => return None,
        };
        Some(Notice { warning: true, reason, message: format!("{}: {}", answer.request, answer.message) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(request: &str, phase: Phase) -> Answer {
        Answer { request: request.into(), phase, message: "because".to_owned() }
    }

    #[test]
    fn what_was_not_followed_is_told_once_and_nothing_after_a_restart() {
        let mut answers = Answers::default();
        let old = answer("term=6", Phase::Void);
        assert_eq!(answers.note(Some(&old)), None, "asked before this replica lived");
        let void = answers.note(Some(&answer("term=7", Phase::Void))).unwrap();
        assert_eq!((void.reason, void.message.as_str()), ("SwitchoverVoid", "term=7: because"));
        assert_eq!(answers.note(Some(&answer("term=7", Phase::Void))), None);
        assert_eq!(answers.note(Some(&answer("term=8", Phase::Pending))), None);
        assert_eq!(answers.note(Some(&answer("term=8", Phase::Done))), None);
        assert_eq!(answers.note(Some(&answer("x", Phase::Refused))).unwrap().reason, "SwitchoverRefused");
        assert_eq!(answers.note(None), None);
    }
}
