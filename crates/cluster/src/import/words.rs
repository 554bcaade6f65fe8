//! Values that people give roles. They only decide between recognising, asking and passing by.

/// What the one is called.
const ACTIVE: [&str; 5] = ["active", "primary", "master", "leader", "main"];
/// What the others are called.
const STANDBY: [&str; 9] =
    ["standby", "passive", "secondary", "slave", "follower", "backup", "replica", "inactive", "spare"];
/// Label keys under which roles are kept.
const KEYS: [&str; 4] = ["role", "state", "designation", "status"];

/// Whether this names the one that is active.
pub(super) fn is_active(value: &str) -> bool {
    ACTIVE.iter().any(|word| value.eq_ignore_ascii_case(word))
}

/// Whether this names one that stands by.
pub(super) fn is_standby(value: &str) -> bool {
    STANDBY.iter().any(|word| value.eq_ignore_ascii_case(word))
}

/// Whether a label of this key may be a role.
pub(super) fn is_role_key(key: &str) -> bool {
    let name = key.rsplit('/').next().unwrap_or(key).to_ascii_lowercase();
    KEYS.iter().any(|word| name == *word || name.ends_with(&format!("-{word}")) || name.ends_with("role"))
}
