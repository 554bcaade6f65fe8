//! Whom a Lease names that somebody else writes: text to member, and nothing else.
//!
//! A name may be used again, a UID never. So a name stands for a pod only if the record was written after that pod was made.

use crate::view::MemberView;
use std::sync::Arc;

/// A host's name has no more letters: what exceeds them in a pod's name is cut off.
const LONGEST_HOST: usize = 63;
/// What a text looks like by which most programs name themselves: the pod's name, alone or before a random tail.
const USUAL: [&str; 2] = ["{pod}", "{pod}_*"];

/// What of a pod stands in the holder's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// Its name, or the host name made of it.
    Pod,
    /// Its UID.
    Uid,
    /// One of its addresses.
    Ip,
    /// Its node's name.
    Node,
}

impl What {
    const ALL: [(&'static str, Self); 4] =
        [("{pod}", Self::Pod), ("{uid}", Self::Uid), ("{ip}", Self::Ip), ("{node}", Self::Node)];
}

/// One form of the holder's text: fixed text around one fact of the pod, and perhaps anything at either end.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    open_before: bool,
    before: Arc<str>,
    what: What,
    after: Arc<str>,
    open_after: bool,
}

/// How the holder's text names a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HolderNames(Vec<Pattern>);

impl Default for HolderNames {
    fn default() -> Self {
        Self(USUAL.iter().filter_map(|text| Pattern::parse(text).ok()).collect())
    }
}

impl HolderNames {
    /// The one form that `text` describes, such as `{node}` or `op-{pod}_*`; or what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        Pattern::parse(text).map(|pattern| Self(vec![pattern]))
    }

    /// Whether this holder's text names this pod, and whether by its UID.
    fn names(&self, holder: &str, pod: &MemberView) -> Option<ByUid> {
        let pattern = self.0.iter().find(|pattern| pattern.names(holder, pod))?;
        Some(ByUid(pattern.what == What::Uid))
    }

    /// The name of the pod that is meant, where the text has it: such a pod can be read though no watch told of it yet.
    pub fn pod_name<'a>(&self, holder: &'a str) -> Option<&'a str> {
        self.0.iter().find_map(|pattern| pattern.pod_name(holder))
    }
}

struct ByUid(bool);

/// What stands beside `*` must not be part of a name or an address: else one pod's text would begin like another's.
const fn may_stand_in_a_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.' | ':')
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let (before, what, after) = What::ALL
            .into_iter()
            .find_map(|(mark, what)| text.split_once(mark).map(|(before, after)| (before, what, after)))
            .ok_or("it must have one of {pod}, {uid}, {ip} and {node}")?;
        let (open_before, before) = before.strip_prefix('*').map_or((false, before), |rest| (true, rest));
        let (open_after, after) = after.strip_suffix('*').map_or((false, after), |rest| (true, rest));
        if [before, after].iter().any(|fixed| fixed.contains(['{', '}', '*'])) {
            return Err("it must have only one of {pod}, {uid}, {ip} and {node}, and * at its ends only");
        }
        let parts = |letter: Option<char>| letter.is_some_and(|letter| !may_stand_in_a_name(letter));
        if open_before && !parts(before.chars().next_back()) || open_after && !parts(after.chars().next()) {
            return Err("between * and the rest must stand a letter that is in no name, such as _");
        }
        Ok(Self { open_before, before: before.into(), what, after: after.into(), open_after })
    }

    fn names(&self, holder: &str, pod: &MemberView) -> bool {
        let is = |value: &str| self.is(holder, value);
        match self.what {
            What::Pod => is(&pod.name) || is(host_name(&pod.name)),
            What::Uid => is(pod.uid.as_str()),
            What::Ip => pod.ips.iter().any(|ip| is(&ip.to_string())),
            What::Node => pod.node.as_deref().is_some_and(is),
        }
    }

    fn is(&self, holder: &str, value: &str) -> bool {
        let text = format!("{}{value}{}", self.before, self.after);
        match (self.open_before, self.open_after) {
            (false, false) => *holder == text,
            (false, true) => holder.starts_with(&text),
            (true, false) => holder.ends_with(&text),
            (true, true) => holder.contains(&text),
        }
    }

    fn pod_name<'a>(&self, holder: &'a str) -> Option<&'a str> {
        if self.what != What::Pod || self.open_before {
            return None;
        }
        let rest = holder.strip_prefix(&*self.before)?;
        let name =
            if self.open_after { rest.split_once(&*self.after)?.0 } else { rest.strip_suffix(&*self.after)? };
        (!name.is_empty() && name.chars().all(|letter| may_stand_in_a_name(letter) && letter != ':'))
            .then_some(name)
    }
}

/// The host name that a pod of this name has, unless its spec says otherwise.
fn host_name(pod: &str) -> &str {
    pod.get(..LONGEST_HOST).map_or(pod, |cut| cut.trim_end_matches(['-', '.']))
}

/// What is read of a Lease that somebody else writes, beside what every seat has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowedLease {
    /// Its name.
    pub name: Arc<str>,
    /// UID of the holding pod, where the record's marks name it and say the same as the record.
    pub holder_uid: Option<crate::ids::Uid>,
    /// `spec.acquireTime`, or else when the Lease was made, Unix milliseconds: for people.
    pub acquired_ms: Option<i64>,
    /// When it was last written, Unix milliseconds in whole seconds, by the API server's clock.
    pub written_ms: Option<i64>,
    /// `spec.leaseDurationSeconds`.
    pub duration: Option<std::time::Duration>,
}

/// Whom a record names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Naming<'a> {
    /// This member, by its UID.
    Member(&'a MemberView),
    /// The name is this member's, and the record is younger than the pod.
    Named(&'a MemberView),
    /// The name is this member's, but the record may be older than the pod: then another pod was meant.
    Older(&'a MemberView),
    /// More than one member.
    Several,
    /// No member.
    Nobody,
}

/// Whom this record names. `written_since`: whether it was certainly written after this pod was made, where the API server's times
/// do not say so.
pub fn naming<'a>(
    lease: &FollowedLease,
    holder: &str,
    names: &HolderNames,
    members: impl Iterator<Item = &'a MemberView>,
    written_since: impl Fn(&MemberView) -> bool,
) -> Naming<'a> {
    let mut members = members.filter(|member| member.selected);
    if let Some(uid) = &lease.holder_uid {
        return members.find(|member| member.uid == *uid).map_or(Naming::Nobody, Naming::Member);
    }
    let mut found = members.filter_map(|member| Some((member, names.names(holder, member)?)));
    match (found.next(), found.next()) {
        (None, _) => Naming::Nobody,
        (Some(_), Some(_)) => Naming::Several,
        (Some((member, ByUid(true))), None) => Naming::Member(member),
        (Some((member, ByUid(false))), None) => {
            // Both in whole seconds: within the same one nobody can tell. The next renewal will.
            let by_time =
                lease.written_ms.zip(member.created_ms).is_some_and(|(written, made)| written > made);
            let younger = by_time || written_since(member);
            if younger { Naming::Named(member) } else { Naming::Older(member) }
        }
    }
}

#[cfg(test)]
#[path = "follow_tests.rs"]
mod tests;
