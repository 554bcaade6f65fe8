//! A watch as a stream of JSON lines.

use crate::handle::{AnswerBody, Handle};
use crate::watch::Watch;
use bytes::Bytes;
use futures::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde_json::Value;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// So long before its end a watch gets a last bookmark.
const LAST_BOOKMARK: Duration = Duration::from_secs(2);

pub(crate) struct WatchStream {
    handle: Handle,
    watch: Watch,
    versions: watch::Receiver<u64>,
    /// When it ends.
    end: Option<Instant>,
    /// When the next bookmark is due.
    mark: Option<Instant>,
}

/// What a watch waited for.
enum Wake {
    Changed,
    Mark,
    End,
}

impl WatchStream {
    pub(crate) fn new(handle: Handle, watch: Watch) -> Self {
        let versions = handle.versions();
        let end = watch.timeout().map(|timeout| Instant::now() + timeout);
        let mut this = Self { handle, watch, versions, end, mark: None };
        this.mark = this.next_mark();
        this
    }

    /// A period from now, or shortly before the end if that is sooner.
    fn next_mark(&self) -> Option<Instant> {
        if !self.watch.bookmarks() {
            return None;
        }
        let now = Instant::now();
        let regular = now + self.handle.bookmark_period();
        let last = self.end.and_then(|end| end.checked_sub(LAST_BOOKMARK)).filter(|last| *last > now);
        Some(last.map_or(regular, |last| last.min(regular)))
    }

    pub(crate) fn into_body(self) -> AnswerBody {
        let lines = stream::unfold(self, |mut this| async move {
            let events = this.next().await?;
            let mut chunk = Vec::new();
            for event in events {
                chunk.extend_from_slice(event.to_string().as_bytes());
                chunk.push(b'\n');
            }
            Some((Ok::<_, Infallible>(Frame::data(Bytes::from(chunk))), this))
        });
        StreamBody::new(lines).boxed_unsync()
    }

    /// The next events; `None` at the end.
    async fn next(&mut self) -> Option<Vec<Value>> {
        loop {
            if self.watch.ended() || self.end.is_some_and(|end| Instant::now() >= end) {
                return None;
            }
            self.versions.mark_unchanged();
            let events = self.handle.with(|server| server.poll(&mut self.watch));
            if !events.is_empty() {
                return Some(events);
            }
            match self.wait().await {
                Wake::Changed => {}
                Wake::End => return None,
                Wake::Mark => {
                    self.mark = self.next_mark();
                    if let Some(mark) = self.handle.with(|server| server.bookmark(&mut self.watch)) {
                        return Some(vec![mark]);
                    }
                }
            }
        }
    }

    async fn wait(&mut self) -> Wake {
        let until = |at: Option<Instant>| async move {
            match at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            changed = self.versions.changed() => if changed.is_ok() { Wake::Changed } else { Wake::End },
            () = until(self.mark) => Wake::Mark,
            () = until(self.end) => Wake::End,
        }
    }
}

impl Drop for WatchStream {
    fn drop(&mut self) {
        self.handle.watch_ended();
    }
}
