//! Which labels of a pod a group leads.

use crate::spec::GroupSpec;
use std::time::Duration;

/// The label of the selector pointer: each member carries its own UID under it, and the Service's selector names one.
pub const MEMBER_LABEL: &str = "hotstandby.dev/member";

/// After this a label that was stored, or is asked for by no selector any more, is believed to be known to the endpoint controller, too.
/// It watches pods and Services apart: a Service that points to a pod before that would have no endpoint, and kube-proxy would take a
/// second for the next change.
pub const SETTLING: Duration = Duration::from_secs(2);

/// The keys that a group with this spec leads on its members.
pub fn led_keys(spec: &GroupSpec) -> impl Iterator<Item = &str> {
    let role = spec.role_label.as_ref().map(|label| &*label.key);
    let pointer = (!spec.pointed.is_empty()).then_some(MEMBER_LABEL);
    role.into_iter().chain(pointer)
}
