//! Which labels of a pod a group leads.

use crate::spec::GroupSpec;

/// The label of the selector pointer: each member carries its own UID under it, and the Service's selector names one.
pub const MEMBER_LABEL: &str = "hotstandby.dev/member";

/// The keys that a group with this spec leads on its members.
pub fn led_keys(spec: &GroupSpec) -> impl Iterator<Item = &str> {
    let role = spec.role_label.as_ref().map(|label| &*label.key);
    let pointer = (!spec.pointed.is_empty()).then_some(MEMBER_LABEL);
    role.into_iter().chain(pointer)
}
