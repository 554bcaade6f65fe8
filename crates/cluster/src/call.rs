//! One call to the API server: its deadline, and what its failure means for whoever asked.

use hotstandby_core::observation::WriteError;
use kube::core::Status;
use std::future::Future;
use std::time::Duration;

/// How long a call on the failover path may take.
///
/// kube has no response time-out of its own; a call without an end would hold up its group for good.
pub const FAILOVER_DEADLINE: Duration = Duration::from_secs(2);

/// What a call was to do: decides what "not found" says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// GET or LIST.
    Read,
    /// POST: nothing of that name may exist.
    Create,
    /// PUT or DELETE with UID and resourceVersion.
    Change,
}

/// Runs one call under [`FAILOVER_DEADLINE`]. `what` says what was tried, for the error text.
pub async fn with_deadline<T>(
    verb: Verb,
    what: &str,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, WriteError> {
    match tokio::time::timeout(FAILOVER_DEADLINE, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(write_error(verb, what, &error)),
        Err(_elapsed) => {
            Err(WriteError::Unknown(format!("{what}: no answer within {FAILOVER_DEADLINE:?}").into()))
        }
    }
}

/// What a failed call means: overtaken, refused for good, or open.
pub fn write_error(verb: Verb, what: &str, error: &kube::Error) -> WriteError {
    match error {
        kube::Error::Api(status) => by_status(verb, what, status),
        kube::Error::BuildRequest(_) | kube::Error::HttpError(_) => {
            WriteError::Refused(format!("{what}: the request could not be built: {error}").into())
        }
        // Everything else ended without an answer that can be read: it may have been applied.
        other => WriteError::Unknown(format!("{what}: {}", chain(other)).into()),
    }
}

fn by_status(verb: Verb, what: &str, status: &Status) -> WriteError {
    let text = || format!("{what}: {} ({} {})", status.message, status.code, status.reason).into();
    match status.code {
        409 => WriteError::Conflict,
        // What was to be changed is gone: the precondition did not hold.
        404 if verb == Verb::Change => WriteError::Conflict,
        // 401 passes when a token file is read anew; 408, 429 and 5xx pass, too, and a 504 may have been applied.
        401 | 408 | 429 | 500.. => WriteError::Unknown(text()),
        _ => WriteError::Refused(text()),
    }
}

/// An error with its causes: the outermost text of a transport error says little.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16) -> kube::Error {
        kube::Error::Api(Status::failure("text", "Reason").with_code(code).boxed())
    }

    #[test]
    fn overtaken_refused_and_open_are_three_things() {
        for code in [401, 408, 429, 500, 502, 503, 504] {
            let error = write_error(Verb::Change, "PUT", &status(code));
            assert!(matches!(error, WriteError::Unknown(_)), "{code}: {error:?}");
        }
        for code in [400, 403, 405, 413, 422] {
            let error = write_error(Verb::Change, "PUT", &status(code));
            assert!(matches!(error, WriteError::Refused(_)), "{code}: {error:?}");
        }
        assert_eq!(write_error(Verb::Create, "POST", &status(409)), WriteError::Conflict);
        assert_eq!(write_error(Verb::Change, "PUT", &status(404)), WriteError::Conflict);
        let no_namespace = write_error(Verb::Create, "POST", &status(404));
        assert!(
            matches!(no_namespace, WriteError::Refused(text) if text.contains("POST: text (404 Reason)"))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_without_an_answer_ends_as_open() {
        let never = std::future::pending::<Result<(), kube::Error>>();
        let outcome = with_deadline(Verb::Change, "PUT seat", never).await;
        assert!(matches!(outcome, Err(WriteError::Unknown(text)) if text.contains("PUT seat: no answer")));
    }
}
