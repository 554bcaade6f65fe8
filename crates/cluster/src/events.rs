//! Events for `kubectl describe`: told in the background, never waited for.

use crate::call::chain;
use hotstandby_core::action::Notice;
use hotstandby_core::ids::{GroupKey, GroupKind, Uid};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use sha2::{Digest, Sha256};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Events that may wait.
const QUEUE: usize = 1000;
/// Tries for one Event.
const TRIES: u32 = 3;
/// How long one try may take, and the pause after a failed one.
const TRY_TIMEOUT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_secs(1);
/// The API refuses notes of 1,024 bytes and more.
const LONGEST_NOTE: usize = 1000;

/// What is waiting to be told.
struct Waiting {
    key: GroupKey,
    uid: Uid,
    notice: Notice,
    tries: u32,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<VecDeque<Waiting>>,
    filled: Notify,
    dropped: AtomicU64,
}

/// Takes Events; cheap to clone.
#[derive(Clone, Default)]
pub struct EventSink(Arc<Shared>);

impl EventSink {
    /// A sink; [`EventSink::run`] empties it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Queues an Event about a group. Where the queue is full the oldest goes.
    pub fn record(&self, key: &GroupKey, uid: &Uid, notice: Notice) {
        self.push(Waiting { key: key.clone(), uid: uid.clone(), notice, tries: 0 });
    }

    /// Events that were lost, for metrics.
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    fn push(&self, waiting: Waiting) {
        let mut queue = self.0.queue.lock().unwrap_or_else(PoisonError::into_inner);
        // The same thing said twice before it was told once: the later word stands.
        queue.retain(|other| !(other.uid == waiting.uid && other.notice == waiting.notice));
        if queue.len() >= QUEUE {
            queue.pop_front();
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
        }
        queue.push_back(waiting);
        drop(queue);
        self.0.filled.notify_one();
    }

    fn pop(&self) -> Option<Waiting> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// Tells what is queued, for ever: `controller` and `instance` say who.
    pub async fn run(self, client: Client, controller: &str, instance: &str) {
        let reporter = Reporter { controller: controller.to_owned(), instance: Some(instance.to_owned()) };
        let recorder = Recorder::new(client, reporter);
        loop {
            let Some(waiting) = self.pop() else {
                self.0.filled.notified().await;
                continue;
            };
            let Err(failure) = tell(&recorder, &waiting).await else { continue };
            let why = failure.why();
            tracing::warn!(group = %waiting.key, reason = waiting.notice.reason, "event not recorded: {why}");
            match failure {
                // A namespace that is being deleted, say: the others must not wait behind it.
                Failure::Refused(_) => self.lost(),
                Failure::Passing(_) => {
                    self.retry(waiting);
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    fn retry(&self, waiting: Waiting) {
        let tries = waiting.tries + 1;
        let mut queue = self.0.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if tries < TRIES && queue.len() < QUEUE {
            queue.push_front(Waiting { tries, ..waiting });
        } else {
            self.lost();
        }
    }

    fn lost(&self) {
        self.0.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

/// Why an Event was not recorded.
#[derive(Debug, PartialEq, Eq)]
enum Failure {
    /// The server will not have it: trying again is useless.
    Refused(String),
    /// It may work later.
    Passing(String),
}

impl Failure {
    fn of(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if matches!(status.code, 400 | 403 | 404 | 405 | 413 | 422) => {
                Self::Refused(chain(error))
            }
            _ => Self::Passing(chain(error)),
        }
    }

    fn why(&self) -> &str {
        match self {
            Self::Refused(why) | Self::Passing(why) => why,
        }
    }
}

/// The object that makes a group: about this one the Event is.
fn regarding(key: &GroupKey, uid: &Uid) -> ObjectReference {
    let (api_version, kind) = match key.kind {
        GroupKind::Cr => (format!("{}/v1alpha1", crate::names::GROUP), "ActiveStandby"),
        GroupKind::Svc => ("v1".to_owned(), "Service"),
    };
    ObjectReference {
        api_version: Some(api_version),
        kind: Some(kind.to_owned()),
        namespace: Some(key.namespace.to_string()),
        name: Some(key.name.to_string()),
        uid: Some(uid.to_string()),
        ..ObjectReference::default()
    }
}

async fn tell(recorder: &Recorder, waiting: &Waiting) -> Result<(), Failure> {
    let regarding = regarding(&waiting.key, &waiting.uid);
    let event = event(&waiting.notice);
    match tokio::time::timeout(TRY_TIMEOUT, recorder.publish(&event, &regarding)).await {
        Ok(outcome) => outcome.map_err(|error| Failure::of(&error)),
        Err(_elapsed) => Err(Failure::Passing(format!("no answer within {TRY_TIMEOUT:?}"))),
    }
}

fn event(notice: &Notice) -> Event {
    let digest = Sha256::digest(notice.message.as_bytes());
    let tag: u32 = digest.iter().take(4).fold(0, |tag, byte| (tag << 8) | u32::from(*byte));
    Event {
        type_: if notice.warning { EventType::Warning } else { EventType::Normal },
        reason: notice.reason.to_owned(),
        note: Some(cut(&notice.message)),
        // The recorder counts up what has the same reason and action, and keeps the first text. The tag makes
        // another text another Event: "to web-1" must not hide behind "to web-0".
        action: format!("{}-{tag:08x}", notice.reason),
        secondary: None,
    }
}

fn cut(text: &str) -> String {
    let end = (0..=text.len().min(LONGEST_NOTE)).rev().find(|at| text.is_char_boundary(*at));
    text.get(..end.unwrap_or(0)).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(message: &str) -> Notice {
        Notice { warning: false, reason: "Switchover", message: message.to_owned() }
    }

    fn key() -> GroupKey {
        GroupKey::cr("shop", "web")
    }

    #[test]
    fn an_event_is_about_the_object_that_makes_the_group() {
        let of = |key: &GroupKey| {
            let regarding = regarding(key, &"u".into());
            (regarding.api_version.unwrap(), regarding.kind.unwrap(), regarding.name.unwrap())
        };
        let cr = ("hotstandby.dev/v1alpha1".into(), "ActiveStandby".into(), "web".into());
        assert_eq!(of(&key()), cr);
        assert_eq!(of(&GroupKey::svc("shop", "web")), ("v1".into(), "Service".into(), "web".into()));
    }

    #[test]
    fn another_text_is_another_event() {
        assert_ne!(event(&notice("to web-0")).action, event(&notice("to web-1")).action);
        assert_eq!(event(&notice("to web-0")).action, event(&notice("to web-0")).action);
    }

    #[test]
    fn a_refused_event_is_not_tried_again_and_an_unanswered_one_is() {
        let status =
            |code| kube::Error::Api(kube::core::Status::failure("text", "Reason").with_code(code).boxed());
        assert!(matches!(Failure::of(&status(403)), Failure::Refused(_)));
        assert!(matches!(Failure::of(&status(422)), Failure::Refused(_)));
        assert!(matches!(Failure::of(&status(429)), Failure::Passing(_)));
        assert!(matches!(Failure::of(&status(504)), Failure::Passing(_)));
    }

    #[test]
    fn a_long_note_is_cut_between_characters() {
        let long = cut(&"ä".repeat(800));
        assert_eq!((long.len(), long.chars().count()), (1000, 500));
        assert_eq!(cut("short"), "short");
    }

    #[test]
    fn a_full_queue_loses_the_oldest_and_says_so() {
        let sink = EventSink::new();
        for number in 0..=QUEUE {
            sink.record(&key(), &"u".into(), notice(&number.to_string()));
        }
        assert_eq!(sink.dropped(), 1);
        assert_eq!(sink.pop().unwrap().notice.message, "1");
        sink.record(&key(), &"u".into(), notice("2"));
        assert_eq!(sink.pop().unwrap().notice.message, "3");
    }
}
