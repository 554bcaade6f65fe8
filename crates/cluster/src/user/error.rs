//! What went wrong between a person and the API server, and what to do next.

use super::text_of;
use crate::connect::ConnectError;
use kube::core::Status;
use kube::runtime::watcher;
use std::collections::BTreeSet;

/// A call for a person failed.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// There is no way to the API server.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The kind is not known to the cluster.
    #[error(
        "this cluster does not know ActiveStandby (hotstandby.dev/v1alpha1); install hotstandby: \
         hotstandby manifests | kubectl apply --server-side -f -"
    )]
    NotInstalled,
    /// The group does not exist.
    #[error("there is no group {name} in namespace {namespace}; {}", others_text(others))]
    NoSuchGroup {
        /// Its name.
        name: String,
        /// Where it was looked for.
        namespace: String,
        /// The groups that do exist there.
        others: BTreeSet<String>,
    },
    /// The person lacks a right.
    #[error(
        "{0}; ask whoever runs the cluster for the ClusterRole hotstandby-view (status) or hotstandby-edit \
         (switchover, pause, resume), which the built-in view and edit contain"
    )]
    Forbidden(String),
    /// The person may not read what the command looks at.
    #[error("reading {0}; ask whoever runs the cluster for the built-in ClusterRole view")]
    MayNotRead(String),
    /// Nobody is logged in.
    #[error(
        "the API server does not know who you are ({0}); log in again, or check --kubeconfig and --context"
    )]
    Unauthorized(String),
    /// The group changed since it was read.
    #[error("the group was changed by somebody else at the same time; look at it and try again")]
    Overtaken,
    /// The server refused the call.
    #[error("the API server refused the call: {0}")]
    Refused(String),
    /// The server did not answer, or not so that it could be read.
    #[error("the API server does not answer: {0}; check the cluster and --kubeconfig and --context")]
    Unreachable(String),
    /// The server's answer does not fit this version's types.
    #[error(
        "the answer cannot be read: {0}; use the hotstandby of the version that is installed in the cluster"
    )]
    Unreadable(String),
}

fn others_text(others: &BTreeSet<String>) -> String {
    if others.is_empty() {
        return "there are no groups in it, or you may not list them; try another -n NAMESPACE, or status -A"
            .to_owned();
    }
    let names: Vec<_> = others.iter().map(String::as_str).collect();
    format!("there are: {}", names.join(", "))
}

impl From<kube::Error> for UserError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => by_status(&status),
            kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => Self::Unreadable(text_of(&error)),
            other => Self::Unreachable(text_of(&other)),
        }
    }
}

fn by_status(status: &Status) -> UserError {
    let name = status.details.as_ref().map_or("", |details| details.name.as_str());
    match status.code {
        // A missing object is named in the details, a missing kind is not.
        404 if name.is_empty() => UserError::NotInstalled,
        404 => UserError::NoSuchGroup {
            name: name.to_owned(),
            namespace: String::new(),
            others: BTreeSet::new(),
        },
        401 => UserError::Unauthorized(status.message.clone()),
        403 => UserError::Forbidden(status.message.clone()),
        409 => UserError::Overtaken,
        500.. => UserError::Unreachable(format!("{} ({})", status.message, status.code)),
        _ => UserError::Refused(status.message.clone()),
    }
}

/// Splits a watch's error: `Ok` with a text where waiting helps, `Err` where it does not.
pub(super) fn lasting(error: watcher::Error) -> Result<String, UserError> {
    let error = match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => error.into(),
        watcher::Error::WatchError(status) if status.code == 410 => {
            return Ok("the watch starts anew".to_owned());
        }
        watcher::Error::WatchError(status) => by_status(&status),
        watcher::Error::NoResourceVersion => {
            UserError::Unreadable("an object has no resourceVersion".to_owned())
        }
    };
    match error {
        UserError::Unreachable(text) => Ok(text),
        lasting => Err(lasting),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn api_error(value: serde_json::Value) -> UserError {
        let status: Status = serde_json::from_value(value).unwrap();
        kube::Error::Api(status.boxed()).into()
    }

    #[test]
    fn a_missing_kind_is_told_from_a_missing_group() {
        let kind = json!({"code": 404, "reason": "NotFound", "message": "the server could not find the requested resource", "details": {}});
        assert!(matches!(api_error(kind), UserError::NotInstalled));
        let group =
            json!({"code": 404, "reason": "NotFound", "message": "not found", "details": {"name": "web"}});
        assert!(matches!(api_error(group), UserError::NoSuchGroup { .. }));
    }

    #[test]
    fn errors_say_what_to_do_next() {
        let others = BTreeSet::from(["api".to_owned(), "web".to_owned()]);
        let error = UserError::NoSuchGroup { name: "wbe".into(), namespace: "shop".into(), others };
        assert_eq!(error.to_string(), "there is no group wbe in namespace shop; there are: api, web");
        assert!(UserError::NotInstalled.to_string().contains("hotstandby manifests"));
        let forbidden = api_error(json!({"code": 403, "reason": "Forbidden", "message": "no"}));
        assert!(forbidden.to_string().contains("hotstandby-view"));
    }

    #[test]
    fn what_passes_is_told_from_what_lasts() {
        let status = |code: u16| Status::failure("x", "y").with_code(code).boxed();
        assert!(lasting(watcher::Error::WatchError(status(410))).is_ok());
        assert!(lasting(watcher::Error::InitialListFailed(kube::Error::Api(status(503)))).is_ok());
        assert!(lasting(watcher::Error::InitialListFailed(kube::Error::Api(status(403)))).is_err());
    }
}
