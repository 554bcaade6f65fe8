//! What goes in and what comes out, without any transport.

use crate::failure::Failure;
use crate::watch::Watch;
use bytes::Bytes;
use http::Method;
use serde_json::Value;

/// One request.
#[derive(Clone, Debug)]
pub struct Request {
    /// The HTTP method.
    pub method: Method,
    /// The path, without the query.
    pub path: String,
    /// The query, decoded, in order.
    pub query: Vec<(String, String)>,
    /// The `Accept` header.
    pub accept: String,
    /// The `Content-Type` header.
    pub content_type: String,
    /// The `User-Agent` header.
    pub user_agent: String,
    /// Who asks.
    pub user: String,
    /// The body.
    pub body: Bytes,
}

impl Request {
    /// A request without a body; `uri` is a path with an optional query.
    pub fn new(method: Method, uri: &str) -> Self {
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        Self {
            method,
            path: path.to_owned(),
            query: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
            accept: "application/json".to_owned(),
            content_type: "application/json".to_owned(),
            user_agent: String::new(),
            user: String::new(),
            body: Bytes::new(),
        }
    }

    /// With a JSON body.
    #[must_use]
    pub fn with_body(mut self, body: &Value) -> Self {
        self.body = body.to_string().into_bytes().into();
        self
    }

    /// With this content type.
    #[must_use]
    pub fn with_type(mut self, content_type: &str) -> Self {
        content_type.clone_into(&mut self.content_type);
        self
    }

    /// A query parameter; empty where it is missing.
    pub(crate) fn param(&self, name: &str) -> &str {
        self.query.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// A yes-or-no query parameter, `None` where it is missing.
    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        let value = self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())?;
        Some(!matches!(value, "false" | "0"))
    }
}

/// One answer.
#[derive(Debug)]
pub enum Reply {
    /// JSON.
    Json(Answer),
    /// Plain text: health checks, and paths that do not exist.
    Text {
        /// The HTTP status code.
        code: u16,
        /// The text.
        body: String,
    },
    /// A watch has begun; [`crate::ApiServer::poll`] gives its events.
    Watch(Box<Watch>),
}

/// A JSON answer.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status code.
    pub code: u16,
    /// The body.
    pub body: Value,
    /// For the `Warning` header.
    pub warnings: Vec<String>,
    /// The content type, where it says more than JSON.
    pub content_type: &'static str,
}

impl Answer {
    pub(crate) fn new(code: u16, body: Value) -> Self {
        Self { code, body, warnings: Vec::new(), content_type: "application/json" }
    }
}

impl Reply {
    pub(crate) fn ok(body: Value) -> Self {
        Self::Json(Answer::new(200, body))
    }

    /// The HTTP status code.
    pub fn code(&self) -> u16 {
        match self {
            Self::Json(answer) => answer.code,
            Self::Text { code, .. } => *code,
            Self::Watch(_) => 200,
        }
    }

    /// The JSON body; `null` for anything else.
    pub fn body(&self) -> Value {
        match self {
            Self::Json(answer) => answer.body.clone(),
            _ => Value::Null,
        }
    }
}

impl From<Failure> for Reply {
    fn from(failure: Failure) -> Self {
        Self::Json(Answer::new(failure.code, failure.body()))
    }
}
