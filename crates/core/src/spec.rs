//! What the user asked for, checked once at construction.

use crate::follow::HolderNames;
use crate::notice::{NoticeSpec, Role};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// The shortest period and time-out a probe may have.
pub const SHORTEST_PERIOD: Duration = Duration::from_millis(50);
/// The longest period and time-out a probe may have.
pub const LONGEST_PERIOD: Duration = Duration::from_mins(1);
/// Services one group may drive.
pub const MOST_SERVICES: usize = 8;
/// Notices one group may ask for.
pub const MOST_NOTICES: usize = 4;

/// A port given as number or by the container port's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortRef {
    /// A port number.
    Number(u16),
    /// A container port's name, looked up in each pod.
    Name(Arc<str>),
}

/// How a member is probed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeKind {
    /// TCP connect to the first TCP target port of the first Service: what holds where nothing is said.
    DefaultTcp,
    /// TCP connect to this port.
    Tcp(PortRef),
    /// HTTP GET; redirects are not followed.
    Http {
        /// The port.
        port: PortRef,
        /// The path, beginning with `/`.
        path: Arc<str>,
        /// HTTPS without verification of the certificate, as the kubelet does.
        tls: bool,
        /// Host header, where the pod's IP would not do.
        host: Option<Arc<str>>,
        /// The only status that is healthy, where 200 to 399 would not do.
        status: Option<u16>,
    },
}

/// The timing of detection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Between the starts of two probes.
    pub period: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Failures in a row that make a judgement.
    pub failure_threshold: u32,
}

impl Default for Timing {
    fn default() -> Self {
        Self { period: Duration::from_secs(1), timeout: Duration::from_millis(500), failure_threshold: 3 }
    }
}

/// The idle connection that tells of a dead process within milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum TripwireMode {
    /// Where the server allows it.
    #[default]
    Auto,
    /// Never.
    Off,
}

/// What the slice holds while nobody may be active.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum WhenNoCandidate {
    /// The last active pod, as long as its object exists.
    #[default]
    Keep,
    /// Nothing.
    Clear,
}

/// What becomes of traffic when the group is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DeletionPolicy {
    /// Slices and seat go.
    #[default]
    Delete,
    /// Slices stay as they are.
    Orphan,
}

/// One criterion of the candidates' order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderBy {
    /// Higher `hotstandby.dev/priority` first.
    Priority,
    /// Newer ReplicaSet or StatefulSet revision first.
    NewestRevision,
    /// Longer Ready first.
    LongestReady,
    /// Earlier start first.
    OldestStart,
    /// By name.
    Name,
}

/// Whether and when the seat returns to a better member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Failback {
    /// The seat stays where it is.
    #[default]
    Never,
    /// Once a better member has been healthy this long.
    AfterDelay(Duration),
}

/// Who elects the active.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Election {
    /// We do, on the pods' behalf.
    #[default]
    Controller,
    /// Others do; we follow their Lease and write nothing to it.
    Others(FollowSpec),
}

/// Who writes the Lease that is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Electors {
    /// The pods, through a gatekeeper whose command is dead before its lease runs out.
    Pods,
    /// Anybody else: nothing is known of what a holder does whose lease ran out.
    External,
}

impl Electors {
    /// The text in `spec.election.mode`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pods => "Pods",
            Self::External => "External",
        }
    }
}

/// The Lease that is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowSpec {
    /// Who writes it.
    pub by: Electors,
    /// Its name, in the group's namespace.
    pub lease: Arc<str>,
    /// How its holder's text names a member.
    pub holder: HolderNames,
}

/// A label that tells the roles: one of the projections of the seat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleLabel {
    /// The label's key.
    pub key: Arc<str>,
    /// The active's value.
    pub active: Arc<str>,
    /// The standbys' value; `None`: they carry no such label.
    pub standby: Option<Arc<str>>,
    /// Services with the selector pointer get the key and the active's value in their selector, even if their own does not
    /// have it.
    pub in_selectors: bool,
}

impl RoleLabel {
    /// The value a member should carry.
    pub const fn value(&self, active: bool) -> Option<&Arc<str>> {
        if active { Some(&self.active) } else { self.standby.as_ref() }
    }
}

/// What becomes of the pod that lost the seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OldActive {
    /// It stays.
    #[default]
    Keep,
    /// It is deleted, unless only time-outs speak against it.
    Delete,
}

/// Whether the new active waits for the old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Handover {
    /// It is promoted at once.
    #[default]
    Overlap,
    /// It is promoted when the old one has acknowledged that it is active no more, or is dead.
    Strict,
}

/// A checked group specification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSpec {
    /// Who elects the active.
    pub election: Election,
    /// Names of the Services that lead to the active pod.
    pub services: Vec<Arc<str>>,
    /// Those of them that are led by the selector pointer.
    pub pointed: BTreeSet<Arc<str>>,
    /// A label that tells the roles.
    pub role_label: Option<RoleLabel>,
    /// What the slice holds while nobody may be active.
    pub when_no_candidate: WhenNoCandidate,
    /// How members are probed.
    pub probe: ProbeKind,
    /// How often, how long, how many.
    pub timing: Timing,
    /// The tripwire's mode.
    pub tripwire: TripwireMode,
    /// The candidates' order; ties end by name and UID.
    pub order: Vec<OrderBy>,
    /// Labels of preferred nodes; empty: no preference.
    pub prefer_nodes: BTreeMap<String, String>,
    /// Failback policy.
    pub failback: Failback,
    /// What becomes of the pod that lost the seat.
    pub old_active: OldActive,
    /// A pod of which a critical container terminated is deleted.
    pub delete_critical: bool,
    /// Who is told of a role, and how.
    pub notify: Vec<NoticeSpec>,
    /// Whether the new active waits for the old one.
    pub handover: Handover,
    /// What removal of the group leaves behind.
    pub deletion_policy: DeletionPolicy,
}

/// The usual reason of a [`SpecError`].
pub const INVALID_SPEC: &str = "InvalidSpec";

/// A value outside its limits: names the field and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}; {remedy}")]
pub struct SpecError {
    /// Path of the field, as in the YAML.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
    /// What to write instead.
    pub remedy: String,
    /// The fixed text for condition and Event.
    pub reason: &'static str,
}

impl SpecError {
    /// A new error for `field`.
    pub fn new(field: impl Into<String>, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into(), remedy: remedy.into(), reason: INVALID_SPEC }
    }
}

impl GroupSpec {
    /// A spec with defaults for these Services.
    pub fn for_services(services: impl IntoIterator<Item = Arc<str>>) -> Self {
        Self {
            election: Election::default(),
            services: services.into_iter().collect(),
            pointed: BTreeSet::new(),
            role_label: None,
            when_no_candidate: WhenNoCandidate::default(),
            probe: ProbeKind::DefaultTcp,
            timing: Timing::default(),
            tripwire: TripwireMode::default(),
            order: vec![OrderBy::Priority, OrderBy::NewestRevision, OrderBy::LongestReady],
            prefer_nodes: BTreeMap::new(),
            failback: Failback::default(),
            old_active: OldActive::default(),
            delete_critical: false,
            notify: Vec::new(),
            handover: Handover::default(),
            deletion_policy: DeletionPolicy::default(),
        }
    }

    /// The Lease that is followed, where others elect.
    pub const fn followed(&self) -> Option<&FollowSpec> {
        match &self.election {
            Election::Controller => None,
            Election::Others(follow) => Some(follow),
        }
    }

    /// Checks the limits that a schema cannot, or that an older schema may have let pass.
    pub fn check(&self) -> Result<(), SpecError> {
        check_services(&self.services)?;
        self.check_followed()?;
        self.check_roles()?;
        check_timing(self.timing)?;
        if let ProbeKind::Http { path, .. } = &self.probe
            && !path.starts_with('/')
        {
            return Err(SpecError::new(
                "spec.detect.probe.httpGet.path",
                format!("{path:?} does not begin with '/'"),
                "write the path as the server sees it, for example /health",
            ));
        }
        Ok(())
    }

    /// Who does not elect cannot bring the seat back, and has no preferences.
    fn check_followed(&self) -> Result<(), SpecError> {
        let Some(follow) = self.followed() else { return Ok(()) };
        let problem = || format!("is given although election.mode is {}: others elect", follow.by.as_str());
        if self.failback != Failback::Never {
            return Err(SpecError::new("spec.failback", problem(), "remove it, or let the controller elect"));
        }
        if !self.prefer_nodes.is_empty() {
            let field = "spec.candidates.preferNodes";
            return Err(SpecError::new(field, problem(), "remove it, or let the controller elect"));
        }
        Ok(())
    }
}

impl GroupSpec {
    fn check_roles(&self) -> Result<(), SpecError> {
        if let Some(label) = &self.role_label
            && label.standby.as_ref() == Some(&label.active)
        {
            let problem = format!("is {} for the active and for standbys", label.active);
            return Err(SpecError::new("spec.roleLabel", problem, "give the two different values"));
        }
        if self.notify.len() > MOST_NOTICES {
            let problem = format!("{} given, at most {MOST_NOTICES} allowed", self.notify.len());
            return Err(SpecError::new("spec.notify", problem, "remove some"));
        }
        for (index, notice) in self.notify.iter().enumerate() {
            notice.check(&format!("spec.notify[{index}]"))?;
        }
        let acknowledged =
            |notice: &NoticeSpec| notice.is_acknowledged() && notice.roles.contains(&Role::Standby);
        if self.handover == Handover::Strict && !self.notify.iter().any(acknowledged) {
            let problem = "is Strict, but nothing that the old active could acknowledge is sent to standbys";
            let remedy = "add to spec.notify a notice with roles: [Active, Standby] that is acknowledged, or write Overlap";
            return Err(SpecError::new("spec.order", problem, remedy));
        }
        if self.followed().is_some() && self.handover == Handover::Strict {
            let problem = "is Strict although others elect: whoever they elected is active already";
            return Err(SpecError::new("spec.order", problem, "write Overlap, or let the controller elect"));
        }
        Ok(())
    }
}

fn check_services(services: &[Arc<str>]) -> Result<(), SpecError> {
    let field = "spec.traffic.services";
    if services.is_empty() || services.len() > MOST_SERVICES {
        let problem = format!("{} Services named, 1 to {MOST_SERVICES} allowed", services.len());
        return Err(SpecError::new(field, problem, "name between 1 and 8 Services"));
    }
    for (index, name) in services.iter().enumerate() {
        if services.iter().skip(index + 1).any(|other| other == name) {
            return Err(SpecError::new(field, format!("{name} is named twice"), "name each Service once"));
        }
    }
    Ok(())
}

fn check_timing(timing: Timing) -> Result<(), SpecError> {
    for (field, value) in [("spec.detect.period", timing.period), ("spec.detect.timeout", timing.timeout)] {
        if value < SHORTEST_PERIOD || value > LONGEST_PERIOD {
            let problem =
                format!("{value:?} is not within {SHORTEST_PERIOD:?} <= value <= {LONGEST_PERIOD:?}");
            return Err(SpecError::new(field, problem, "write a duration such as 200ms or 1s"));
        }
    }
    if timing.timeout > timing.period {
        let problem = format!("timeout <= period does not hold: {:?} > {:?}", timing.timeout, timing.period);
        return Err(SpecError::new("spec.detect.timeout", problem, "lower the timeout or raise the period"));
    }
    if timing.failure_threshold == 0 || timing.failure_threshold > 100 {
        let problem = format!("{} is not within 1 <= value <= 100", timing.failure_threshold);
        return Err(SpecError::new("spec.detect.failureThreshold", problem, "write a number such as 3"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> GroupSpec {
        GroupSpec::for_services(["web".into()])
    }

    #[test]
    fn limits_are_checked_and_named() {
        assert!(spec().check().is_ok());
        let mut bad = spec();
        bad.timing.timeout = Duration::from_secs(2);
        assert!(bad.check().unwrap_err().to_string().contains("timeout <= period"));
        let mut bad = spec();
        bad.timing.period = Duration::from_millis(10);
        assert_eq!(bad.check().unwrap_err().field, "spec.detect.period");
        let mut bad = spec();
        bad.services.push("web".into());
        assert!(bad.check().unwrap_err().problem.contains("twice"));
        assert!(GroupSpec::for_services([]).check().is_err());
        let mut bad = spec();
        bad.timing.failure_threshold = 0;
        assert!(bad.check().is_err());
    }
}
