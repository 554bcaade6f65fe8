//! From the spec as written to the spec as meant. What a later version builds is refused by name here,
//! never ignored: a group that does less than it says is worse than one that says why it does nothing.

use super::detect::{CriticalContainersSpec, Detect, HttpGet, Probe, Scheme, TripwireMode};
use super::duration::Duration;
use super::notify::{HttpNotice, Notify, Role, UdpNotice};
use super::selector::{LabelSelector, Selector, check_key, check_value};
use super::spec::{
    ActiveStandbySpec, Candidates, DeletionPolicy, Election, ElectionMode, Failback, FailbackPolicy,
    LeaseRef, OldActive, Order, OrderBy, RoleLabel, ServiceMode, ServiceRef, Traffic, WhenNoCandidate,
};
use hotstandby_core::follow::HolderNames;
use hotstandby_core::labels::MEMBER_LABEL;
use hotstandby_core::notice::{self, NoticeBy, NoticeSpec};
use hotstandby_core::spec::{self as core, GroupSpec, ProbeKind, SpecError, Timing};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration as StdDuration;

/// The shortest and longest `failback.delay`.
const FAILBACK_DELAY: (StdDuration, StdDuration) = (StdDuration::from_secs(1), StdDuration::from_hours(24));

/// A spec that was checked: all that the rest of the program needs of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// What the core decides by.
    pub group: GroupSpec,
    /// Which pods are members.
    pub selector: Selector,
    /// Which containers are critical.
    pub critical_containers: CriticalContainers,
    /// `spec.paused`; the annotation is looked at apart from it.
    pub paused: bool,
}

/// Which containers are critical.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CriticalContainers {
    /// By name.
    pub names: Vec<Arc<str>>,
    /// By an environment variable: its name and the value that marks.
    pub env: Option<(Arc<str>, Arc<str>)>,
}

impl CriticalContainers {
    /// Whether a container of this name, with these literal environment variables, is critical.
    pub fn contains<'a>(&self, name: &str, env: impl IntoIterator<Item = (&'a str, &'a str)>) -> bool {
        self.names.iter().any(|one| **one == *name)
            || self
                .env
                .as_ref()
                .is_some_and(|(key, value)| env.into_iter().any(|(k, v)| *k == **key && *v == **value))
    }

    /// Whether no container is critical, so that none has to be looked at.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.env.is_none()
    }
}

impl TryFrom<&ActiveStandbySpec> for GroupSpec {
    type Error = SpecError;

    fn try_from(spec: &ActiveStandbySpec) -> Result<Self, SpecError> {
        spec.check().map(|checked| checked.group)
    }
}

impl ActiveStandbySpec {
    /// Checks everything and gives what the rest of the program needs, or names the first field that is wrong.
    pub fn check(&self) -> Result<Checked, SpecError> {
        // Destructured without `..`: a new field must be converted or refused here.
        let Self {
            selector,
            election,
            traffic,
            role_label,
            detect,
            candidates,
            failback,
            old_active,
            notify,
            order,
            paused,
            deletion_policy,
            adopt_service,
        } = self;
        refuse_if(*adopt_service, "spec.adoptService", "deletion of foreign endpoints")?;
        let Detect { probe, period, timeout, failure_threshold, tripwire, critical_containers } = detect;
        let Traffic { services, when_no_candidate } = traffic;
        let Candidates { prefer_nodes, order: by } = candidates;
        let group = GroupSpec {
            election: convert_election(election)?,
            services: services.iter().map(|service| service.name.as_str().into()).collect(),
            pointed: pointed(services),
            role_label: role_label.as_ref().map(|label| convert_role_label(label, selector)).transpose()?,
            when_no_candidate: match when_no_candidate {
                WhenNoCandidate::Keep => core::WhenNoCandidate::Keep,
                WhenNoCandidate::Clear => core::WhenNoCandidate::Clear,
            },
            probe: convert_probe(probe.as_ref())?,
            timing: convert_timing(period, timeout, *failure_threshold)?,
            tripwire: match tripwire.mode {
                TripwireMode::Auto => core::TripwireMode::Auto,
                TripwireMode::Off => core::TripwireMode::Off,
            },
            order: convert_order(by)?,
            prefer_nodes: prefer_nodes.as_ref().map(|nodes| nodes.match_labels.clone()).unwrap_or_default(),
            failback: convert_failback(failback)?,
            old_active: match old_active {
                OldActive::Keep => core::OldActive::Keep,
                OldActive::Delete => core::OldActive::Delete,
            },
            delete_critical: convert_delete_pod(critical_containers)?,
            notify: convert_notify(notify)?,
            handover: match order {
                Order::Overlap => core::Handover::Overlap,
                Order::Strict => core::Handover::Strict,
            },
            deletion_policy: match deletion_policy {
                DeletionPolicy::Delete => core::DeletionPolicy::Delete,
                DeletionPolicy::Orphan => core::DeletionPolicy::Orphan,
            },
        };
        group.check()?;
        Ok(Checked {
            group,
            selector: Selector::new(selector, "spec.selector")?,
            critical_containers: self.critical_containers(),
            paused: *paused,
        })
    }

    /// Which containers are critical.
    pub fn critical_containers(&self) -> CriticalContainers {
        let CriticalContainersSpec { names, env, delete_pod: _ } = &self.detect.critical_containers;
        CriticalContainers {
            names: names.iter().map(|name| name.as_str().into()).collect(),
            env: env.as_ref().map(|mark| (mark.name.as_str().into(), mark.value.as_str().into())),
        }
    }
}

fn refuse_if(wanted: bool, field: &str, what: &str) -> Result<(), SpecError> {
    if !wanted {
        return Ok(());
    }
    Err(SpecError::new(field, format!("{what} cannot be done by this version of hotstandby"), "remove it"))
}

fn convert_election(election: &Election) -> Result<core::Election, SpecError> {
    let Election { mode, lease } = election;
    let field = "spec.election.lease";
    let by = match (mode, lease) {
        (ElectionMode::Controller, None) => return Ok(core::Election::Controller),
        (ElectionMode::Controller, Some(_)) => {
            let problem = "is given although the mode is Controller, whose seat is hotstandby's own";
            return Err(SpecError::new(field, problem, "remove it"));
        }
        (ElectionMode::Pods, _) => core::Electors::Pods,
        (ElectionMode::External, _) => core::Electors::External,
    };
    let Some(LeaseRef { name, holder }) = lease.as_ref().filter(|lease| !lease.name.is_empty()) else {
        let problem = format!("is missing, which mode {} does not allow", by.as_str());
        return Err(SpecError::new(field, problem, "name the Lease that says who is active"));
    };
    let holder = holder.as_deref().map_or_else(
        || Ok(HolderNames::default()),
        |text| {
            HolderNames::parse(text).map_err(|why| {
                let remedy = "write for example {node} or op-{pod}_*";
                SpecError::new("spec.election.lease.holder", format!("{text:?} says nothing: {why}"), remedy)
            })
        },
    )?;
    Ok(core::Election::Others(core::FollowSpec { by, lease: name.as_str().into(), holder }))
}

/// The Services that are led by the selector pointer.
fn pointed(services: &[ServiceRef]) -> BTreeSet<Arc<str>> {
    let by_pointer = services.iter().filter(|service| service.mode == ServiceMode::SelectorPointer);
    by_pointer.map(|service| service.name.as_str().into()).collect()
}

fn convert_role_label(label: &RoleLabel, selector: &LabelSelector) -> Result<core::RoleLabel, SpecError> {
    let RoleLabel { key, active, standby } = label;
    check_key(key, "spec.roleLabel.key")?;
    check_value(active, "spec.roleLabel.active")?;
    check_value(standby, "spec.roleLabel.standby")?;
    if key == MEMBER_LABEL {
        let problem = format!("is {MEMBER_LABEL}, which the selector pointer uses");
        return Err(SpecError::new("spec.roleLabel.key", problem, "take another key, such as role"));
    }
    if active.is_empty() {
        let problem = "is empty, so that nobody could tell the active";
        return Err(SpecError::new("spec.roleLabel.active", problem, "write a value such as active"));
    }
    let asked = selector.match_expressions.iter().map(|one| &one.key).chain(selector.match_labels.keys());
    if asked.into_iter().any(|one| one == key) {
        let problem =
            format!("asks for {key}, which changes with the role: a pod would leave the group with it");
        return Err(SpecError::new("spec.selector", problem, "select by labels that all members keep"));
    }
    Ok(core::RoleLabel {
        key: key.as_str().into(),
        active: active.as_str().into(),
        standby: (!standby.is_empty()).then(|| standby.as_str().into()),
        in_selectors: false,
    })
}

fn convert_delete_pod(critical: &CriticalContainersSpec) -> Result<bool, SpecError> {
    let CriticalContainersSpec { names, env, delete_pod } = critical;
    if *delete_pod && names.is_empty() && env.is_none() {
        let problem = "is true although no container is critical";
        let remedy = "give names or env beside it, or remove it";
        return Err(SpecError::new("spec.detect.criticalContainers.deletePod", problem, remedy));
    }
    Ok(*delete_pod)
}

fn convert_notify(notify: &[Notify]) -> Result<Vec<NoticeSpec>, SpecError> {
    let all = notify.iter().enumerate();
    all.map(|(index, one)| convert_notice(one, &format!("spec.notify[{index}]"))).collect()
}

fn convert_notice(notice: &Notify, field: &str) -> Result<NoticeSpec, SpecError> {
    let Notify { udp, http, roles, acknowledge, interval, timeout, deadline } = notice;
    let by = match (udp, http) {
        (Some(UdpNotice { port, message }), None) => NoticeBy::Udp {
            port: convert_port(*port, &format!("{field}.udp.port"))?,
            message: message.as_str().into(),
        },
        (None, Some(HttpNotice { port, path, scheme })) => {
            check_http_text(path, &format!("{field}.http.path"))?;
            NoticeBy::Http {
                port: convert_port(*port, &format!("{field}.http.port"))?,
                path: path.as_str().into(),
                tls: *scheme == Scheme::Https,
            }
        }
        (Some(_), Some(_)) => {
            return Err(SpecError::new(field, "has both udp and http", "make two notices of it"));
        }
        (None, None) => return Err(SpecError::new(field, "has neither udp nor http", "write one of them")),
    };
    let mut told = Vec::new();
    for role in roles {
        let role = match role {
            Role::Active => notice::Role::Active,
            Role::Standby => notice::Role::Standby,
        };
        if !told.contains(&role) {
            told.push(role);
        }
    }
    Ok(NoticeSpec {
        by,
        roles: told,
        acknowledge: *acknowledge,
        interval: parse_duration(interval, &format!("{field}.interval"))?,
        timeout: parse_duration(timeout, &format!("{field}.timeout"))?,
        deadline: parse_duration(deadline, &format!("{field}.deadline"))?,
    })
}

fn convert_port(port: i32, field: &str) -> Result<u16, SpecError> {
    u16::try_from(port).ok().filter(|port| *port > 0).ok_or_else(|| {
        SpecError::new(field, format!("{port} is not within 1 <= port <= 65535"), "write the pod's port")
    })
}

/// What goes into a request as it is: a line break would make two requests of one.
fn check_http_text(text: &str, field: &str) -> Result<(), SpecError> {
    if !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic()) {
        return Ok(());
    }
    let remedy = "write printable ASCII characters without spaces";
    Err(SpecError::new(field, "is empty or has other characters", remedy))
}

fn convert_probe(probe: Option<&Probe>) -> Result<ProbeKind, SpecError> {
    let Some(Probe { http_get, tcp_socket, grpc }) = probe else { return Ok(ProbeKind::DefaultTcp) };
    refuse_if(grpc.is_some(), "spec.detect.probe.grpc", "gRPC probes")?;
    match (http_get, tcp_socket) {
        (Some(http), None) => convert_http(http),
        (None, Some(tcp)) => tcp.port.check("spec.detect.probe.tcpSocket.port").map(ProbeKind::Tcp),
        (Some(_), Some(_)) => {
            Err(SpecError::new("spec.detect.probe", "has two kinds of probe", "keep one of them"))
        }
        (None, None) => {
            let remedy = "write httpGet or tcpSocket, or remove probe for a TCP connect to the target port";
            Err(SpecError::new("spec.detect.probe", "has no kind of probe", remedy))
        }
    }
}

fn convert_http(http: &HttpGet) -> Result<ProbeKind, SpecError> {
    let field = "spec.detect.probe.httpGet";
    let HttpGet { path, port, scheme, host, expected_status } = http;
    check_http_text(path, &format!("{field}.path"))?;
    if let Some(host) = host {
        check_http_text(host, &format!("{field}.host"))?;
    }
    Ok(ProbeKind::Http {
        port: port.check(&format!("{field}.port"))?,
        path: path.as_str().into(),
        tls: *scheme == Scheme::Https,
        host: host.as_deref().map(Into::into),
        status: expected_status.map(|status| check_status(status, field)).transpose()?,
    })
}

fn check_status(status: i32, field: &str) -> Result<u16, SpecError> {
    u16::try_from(status).ok().filter(|status| (200..=599).contains(status)).ok_or_else(|| {
        let problem = format!("{status} is not within 200 <= value <= 599");
        SpecError::new(format!("{field}.expectedStatus"), problem, "write a status such as 200, or remove it")
    })
}

fn convert_timing(
    period: &Duration,
    timeout: &Duration,
    failure_threshold: i32,
) -> Result<Timing, SpecError> {
    let failure_threshold = u32::try_from(failure_threshold).map_err(|_| {
        let problem = format!("{failure_threshold} is not within 1 <= value <= 100");
        SpecError::new("spec.detect.failureThreshold", problem, "write a number such as 3")
    })?;
    Ok(Timing {
        period: parse_duration(period, "spec.detect.period")?,
        timeout: parse_duration(timeout, "spec.detect.timeout")?,
        failure_threshold,
    })
}

fn parse_duration(duration: &Duration, field: &str) -> Result<StdDuration, SpecError> {
    let remedy = "write whole numbers with h, m, s or ms, such as 200ms or 1m30s";
    duration.parse().map_err(|bad| SpecError::new(field, bad.to_string(), remedy))
}

fn convert_order(order: &[OrderBy]) -> Result<Vec<core::OrderBy>, SpecError> {
    for (index, one) in order.iter().enumerate() {
        if order.iter().skip(index + 1).any(|other| other == one) {
            let problem = format!("{one:?} is named twice");
            return Err(SpecError::new("spec.candidates.order", problem, "name each criterion once"));
        }
    }
    Ok(order
        .iter()
        .map(|one| match one {
            OrderBy::Priority => core::OrderBy::Priority,
            OrderBy::NewestRevision => core::OrderBy::NewestRevision,
            OrderBy::LongestReady => core::OrderBy::LongestReady,
            OrderBy::OldestStart => core::OrderBy::OldestStart,
            OrderBy::Name => core::OrderBy::Name,
        })
        .collect())
}

fn convert_failback(failback: &Failback) -> Result<core::Failback, SpecError> {
    let field = "spec.failback.delay";
    match (failback.policy, &failback.delay) {
        (FailbackPolicy::Never, None) => Ok(core::Failback::Never),
        (FailbackPolicy::Never, Some(_)) => Err(SpecError::new(
            field,
            "is given although the policy is Never",
            "remove it, or write policy: AfterDelay",
        )),
        (FailbackPolicy::AfterDelay, None) => Err(SpecError::new(
            field,
            "is missing, which AfterDelay does not allow",
            "write a delay such as 60s",
        )),
        (FailbackPolicy::AfterDelay, Some(text)) => {
            let delay = parse_duration(text, field)?;
            let (shortest, longest) = FAILBACK_DELAY;
            if delay < shortest || delay > longest {
                let problem = format!("{delay:?} is not within 1s <= delay <= 24h");
                return Err(SpecError::new(field, problem, "write a delay such as 60s"));
            }
            Ok(core::Failback::AfterDelay(delay))
        }
    }
}

#[cfg(test)]
#[path = "convert_tests.rs"]
mod tests;
