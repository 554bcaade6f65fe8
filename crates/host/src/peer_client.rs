//! Asks a peer's admin server. Connections are kept and used again.

use crate::peers::HELLO_TIMEOUT;
use crate::wire::{HELLO_PATH, Hello, SIGHTING_PATH, SightingAnswer};
use bytes::Bytes;
use hotstandby_core::ids::Uid;
use http::{StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::de::DeserializeOwned;
use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

/// The longest answer taken.
const LONGEST_ANSWER: usize = 4 * 1024;
/// How long an unused connection is kept: longer than between two hellos.
const KEEP: Duration = Duration::from_secs(10);

/// Why a peer's answer was not had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PeerError {
    #[error("no request to {uri} could be made: {source}")]
    Request { uri: String, source: http::uri::InvalidUri },
    #[error("no answer from the peer at {uri}: {source}; look whether its admin port can be reached")]
    Call { uri: Uri, source: hyper_util::client::legacy::Error },
    #[error("the peer at {uri} answered HTTP {status}; is it a replica of hotstandby?")]
    Status { uri: Uri, status: StatusCode },
    #[error("the answer of the peer at {uri} broke off or is over 4 KiB: {problem}")]
    Body { uri: Uri, problem: String },
    #[error("the peer at {uri} answered something else than was asked: {source}")]
    Json { uri: Uri, source: serde_json::Error },
}

pub(crate) struct PeerClient {
    client: Client<HttpConnector, Empty<Bytes>>,
}

impl PeerClient {
    pub(crate) fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(HELLO_TIMEOUT));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(KEEP)
            .build(connector);
        Self { client }
    }

    pub(crate) async fn hello(&self, peer: SocketAddr) -> Result<Hello, PeerError> {
        self.get(format!("http://{peer}{HELLO_PATH}")).await
    }

    pub(crate) async fn sighting(
        &self,
        peer: SocketAddr,
        group: &str,
        uid: &Uid,
    ) -> Result<SightingAnswer, PeerError> {
        let (uid, group) = (percent_encode(uid.as_str()), percent_encode(group));
        self.get(format!("http://{peer}{SIGHTING_PATH}?uid={uid}&group={group}")).await
    }

    async fn get<T: DeserializeOwned>(&self, uri: String) -> Result<T, PeerError> {
        let uri: Uri = match uri.parse() {
            Ok(uri) => uri,
            Err(source) => return Err(PeerError::Request { uri, source }),
        };
        let answer = match self.client.get(uri.clone()).await {
            Ok(answer) => answer,
            Err(source) => return Err(PeerError::Call { uri, source }),
        };
        let status = answer.status();
        if status != StatusCode::OK {
            return Err(PeerError::Status { uri, status });
        }
        let body = match Limited::new(answer.into_body(), LONGEST_ANSWER).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => return Err(PeerError::Body { uri, problem: error.to_string() }),
        };
        serde_json::from_slice(&body).map_err(|source| PeerError::Json { uri, source })
    }
}

/// Text as a query's value.
fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn group_names_survive_the_query() {
        assert_eq!(percent_encode("cr/shop/web-1.a"), "cr%2Fshop%2Fweb-1.a");
        assert_eq!(percent_encode("a b&c=d"), "a%20b%26c%3Dd");
    }
}
