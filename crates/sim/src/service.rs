//! The server as a `tower` service, so that `kube::Client` talks to it unchanged.

use crate::handle::{AnswerBody, Broken, Handle};
use crate::message::Request;
use futures::future::BoxFuture;
use http::{HeaderMap, Response, header, request::Parts};
use hyper::body::Body as HttpBody;
use kube::Client;
use kube::client::Body;
use std::task::{Context, Poll};
use tower::Service;

/// A `tower` service over a [`Handle`]: one caller's way to the server.
#[derive(Clone, Debug)]
pub struct ApiService {
    handle: Handle,
    user: String,
    user_agent: String,
}

impl Handle {
    /// A `kube` client of this server, as the user `admin`.
    pub fn client(&self, default_namespace: &str) -> Client {
        self.client_as(default_namespace, "admin", "kube-rs")
    }

    /// A `kube` client as somebody, with some program.
    pub fn client_as(&self, default_namespace: &str, user: &str, user_agent: &str) -> Client {
        Client::new(self.service(user, user_agent), default_namespace)
    }

    /// The service itself, for layers of one's own.
    pub fn service(&self, user: &str, user_agent: &str) -> ApiService {
        ApiService { handle: self.clone(), user: user.to_owned(), user_agent: user_agent.to_owned() }
    }
}

impl Service<http::Request<Body>> for ApiService {
    type Response = Response<AnswerBody>;
    type Error = Broken;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let Self { handle, user, user_agent } = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let most = handle.with(|server| server.limits().body_bytes);
            let mut request = read(&parts, body, most).await.map_err(|_| Broken("the body broke off"))?;
            if request.user.is_empty() {
                request.user = user;
            }
            if request.user_agent.is_empty() {
                request.user_agent = user_agent;
            }
            handle.answer(request).await
        })
    }
}

/// Reads a request; of a body that is too large one byte more than is allowed, so that it is refused.
pub(crate) async fn read<B>(parts: &Parts, body: B, most: usize) -> Result<Request, B::Error>
where
    B: HttpBody + Unpin,
{
    use bytes::Buf;
    use http_body_util::BodyExt;
    let uri = parts.uri.path_and_query().map_or("/", |uri| uri.as_str());
    let mut request = Request::new(parts.method.clone(), uri);
    let header = |name: header::HeaderName| text(&parts.headers, &name);
    request.accept = header(header::ACCEPT);
    request.content_type = header(header::CONTENT_TYPE);
    request.user_agent = header(header::USER_AGENT);
    // There are no passwords here: a bearer token is simply a name.
    header(header::AUTHORIZATION).strip_prefix("Bearer ").unwrap_or_default().clone_into(&mut request.user);
    // Anybody may play anybody.
    let played = header(header::HeaderName::from_static("impersonate-user"));
    if !played.is_empty() {
        request.user = played;
    }
    let mut body = body;
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Ok(mut data) = frame?.into_data() {
            while data.has_remaining() && bytes.len() <= most {
                let chunk = data.chunk();
                let take = chunk.len().min(most + 1 - bytes.len());
                bytes.extend(chunk.iter().take(take));
                data.advance(take);
            }
        }
        if bytes.len() > most {
            break;
        }
    }
    request.body = bytes.into();
    Ok(request)
}

fn text(headers: &HeaderMap, name: &header::HeaderName) -> String {
    let values: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    values.join(",")
}
