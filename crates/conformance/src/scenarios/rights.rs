//! Authorization: questions about rights, and requests that are refused because rights are missing.

use super::{LEASES, PODS, at, lease};
use crate::script::{Body, Call, MERGE, Scenario};
use http::Method;
use serde_json::{Value, json};

const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
/// The user that must have no rights on the server. The suite sends requests as this user and expects refusals.
pub const USER_WITHOUT_RIGHTS: &str = "conformance-nobody";

pub(super) fn all() -> Vec<Scenario> {
    let review = |spec: Value| json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec});
    let leases =
        json!({"verb": "update", "group": "coordination.k8s.io", "resource": "leases", "namespace": "{ns}"});
    let nobody =
        |method: Method, path: &str, body: Body| Call::new(method, path, body).by(USER_WITHOUT_RIGHTS);
    vec![
        Scenario::new("rights", "which user may do what")
            .post("allowed", REVIEWS, review(json!({"resourceAttributes": leases})))
            .post(
                "path",
                REVIEWS,
                review(json!({"nonResourceAttributes": {"path": "/metrics", "verb": "get"}})),
            )
            .post("nothing_asked", REVIEWS, review(json!({})))
            .get("no_list", REVIEWS)
            .call("get", nobody(Method::GET, &at(LEASES, "a"), Body::None))
            .call("list", nobody(Method::GET, LEASES, Body::None))
            .call("list_all", nobody(Method::GET, "/api/v1/pods", Body::None))
            .call("watch", nobody(Method::GET, &at(PODS, "?watch=1"), Body::None))
            .call("create", nobody(Method::POST, LEASES, lease("a", "x").into()))
            .call("update", nobody(Method::PUT, &at(LEASES, "a"), lease("a", "x").into()))
            .call("delete", nobody(Method::DELETE, &at(LEASES, "a"), Body::None))
            .call("patch_status", nobody(Method::PATCH, &at(PODS, "a/status"), json!({}).into()).typed(MERGE))
            .call("node", nobody(Method::GET, "/api/v1/nodes/n1", Body::None))
            .call("delete_all", nobody(Method::DELETE, LEASES, Body::None)),
    ]
}
