//! What changes is told once, for people.

use crate::log;
use hotstandby_core::gatekeeper::{Exit, Status};
use hotstandby_core::observation::WriteError;

/// Remembers what was told.
#[derive(Debug)]
pub(super) struct Teller {
    name: String,
    last: Option<Status>,
    refused: Option<String>,
}

impl Teller {
    /// For the election of this name.
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), last: None, refused: None }
    }

    /// Tells what changed.
    pub(super) fn tell(&mut self, status: &Status, refused: Option<String>) {
        for text in self.changes(status, refused) {
            log::say(format!("election {}: {text}", self.name));
        }
    }

    fn changes(&mut self, status: &Status, refused: Option<String>) -> Vec<String> {
        let mut texts = Vec::new();
        let last = self.last.as_ref();
        if last.is_none_or(|last| last.role != status.role) {
            let term = status.term.map(|term| format!(" at term {term}")).unwrap_or_default();
            texts.push(format!("{}{term}", status.role.as_str()));
        }
        if last.is_none_or(|last| last.holder != status.holder)
            && let Some(holder) = &status.holder
        {
            texts.push(format!("the holder is {holder}"));
        }
        if last.is_none_or(|last| last.trouble != status.trouble)
            && let Some(trouble) = &status.trouble
        {
            texts.push(trouble.to_string());
        }
        if last.is_some_and(|last| !last.expired) && status.expired {
            texts.push("the lease ran out".to_owned());
        }
        if refused != self.refused
            && let Some(why) = &refused
        {
            texts.push(format!("the Lease is read now and then, because it may not be watched: {why}"));
        }
        self.refused = refused;
        self.last = Some(status.clone());
        texts
    }

    /// Tells the end.
    pub(super) fn ended(&self, exit: Exit) {
        let text = match exit {
            Exit::Command(code) => format!("the command ended with {code}, the lease is given back"),
            Exit::Stopped => "stopped while waiting".to_owned(),
            Exit::Lost(loss) => format!("the lease was lost ({}), the command is dead", loss.as_str()),
            Exit::NoEndpoint => "the endpoint cannot be written, the command does not run".to_owned(),
        };
        log::say(format!("election {}: {text}", self.name));
    }
}

/// What a failed call says.
pub(super) fn text(error: &WriteError) -> String {
    match error {
        WriteError::Conflict => "somebody else was faster".to_owned(),
        WriteError::Refused(text) | WriteError::Unknown(text) => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hotstandby_core::gatekeeper::Role;
    use hotstandby_core::ids::Term;

    #[test]
    fn the_same_trouble_is_told_once_and_its_return_again() {
        let mut teller = Teller::new("db");
        let well = Status {
            role: Role::Waiting,
            term: Some(Term(3)),
            holder: Some("db-1".into()),
            expired: false,
            trouble: None,
        };
        let ill = Status { trouble: Some("no answer".into()), ..well.clone() };
        assert_eq!(teller.changes(&well, None), ["waiting at term 3", "the holder is db-1"]);
        assert_eq!(teller.changes(&ill, None), ["no answer"]);
        assert_eq!(teller.changes(&ill, None), [""; 0]);
        assert_eq!(teller.changes(&well, None), [""; 0]);
        assert_eq!(teller.changes(&ill, None), ["no answer"]);
    }

    #[test]
    fn missing_right_to_watch_is_told_once() {
        let mut teller = Teller::new("db");
        let status = Status { role: Role::Waiting, term: None, holder: None, expired: false, trouble: None };
        assert_eq!(teller.changes(&status, Some("forbidden".to_owned())).len(), 2);
        assert_eq!(teller.changes(&status, Some("forbidden".to_owned())), [""; 0]);
    }
}
