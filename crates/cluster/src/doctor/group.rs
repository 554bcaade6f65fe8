//! A group as the checks look at it.

use super::{Finding, Known, Severity, Snapshot};
use crate::api::port::Port;
use crate::api::spec::ServiceMode;
use crate::api::{ActiveStandby, Selector};
use crate::names::{
    self, POD_DESIGNATION as DESIGNATION, POD_DESIGNATION_ACTIVE as DESIGNATED, SERVICE_MODE,
};
use crate::objects::{At, annotation, is_alive, name_of, namespace_of, picks, selector_of};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::BTreeMap;

/// One group.
pub(super) struct View<'a> {
    pub(super) at: At,
    pub(super) group: &'a ActiveStandby,
    /// `None`: the spec is refused anyway.
    pub(super) selector: Option<Selector>,
    /// The pods it picks.
    pub(super) members: Vec<&'a Pod>,
    /// Its Services, where they exist.
    pub(super) services: Vec<(&'a str, Option<&'a Service>)>,
}

/// All groups.
pub(super) fn views(snapshot: &Snapshot) -> Known<Vec<View<'_>>> {
    Ok(snapshot.groups()?.iter().map(|group| View::of(snapshot, group)).collect())
}

impl<'a> View<'a> {
    fn of(snapshot: &'a Snapshot, group: &'a ActiveStandby) -> Self {
        let namespace = namespace_of(&group.metadata);
        let selector = Selector::new(&group.spec.selector, "spec.selector").ok();
        let here = snapshot
            .objects
            .pods
            .iter()
            .filter(|pod| namespace_of(&pod.metadata) == namespace && is_alive(pod));
        let empty = BTreeMap::new();
        let members = here
            .filter(|pod| {
                let labels = pod.metadata.labels.as_ref().unwrap_or(&empty);
                selector.as_ref().is_some_and(|selector| selector.matches(labels))
            })
            .collect();
        let named = |name: &str| {
            snapshot.objects.services.iter().find(|service| {
                namespace_of(&service.metadata) == namespace && name_of(&service.metadata) == name
            })
        };
        let services =
            group.spec.traffic.services.iter().map(|one| (one.name.as_str(), named(&one.name))).collect();
        Self { at: At::of("ActiveStandby", &group.metadata), group, selector, members, services }
    }

    /// Services that exist.
    pub(super) fn existing(&self) -> impl Iterator<Item = &'a Service> {
        self.services.iter().filter_map(|(_, service)| *service)
    }

    /// The label and value that tell the active, where role labels are asked for.
    pub(super) fn role(&self) -> Option<(&'a str, &'a str)> {
        self.group.spec.role_label.as_ref().map(|role| (role.key.as_str(), role.active.as_str()))
    }

    /// Whether this Service's selector is to be written.
    pub(super) fn points(&self, service: &str) -> bool {
        let services = &self.group.spec.traffic.services;
        services.iter().any(|one| one.name == service && one.mode == ServiceMode::SelectorPointer)
    }

    /// What is probed: a port as written, `None` where there is none.
    pub(super) fn probe_port(&self) -> Option<Port> {
        match &self.group.spec.detect.probe {
            Some(probe) => probe
                .http_get
                .as_ref()
                .map(|http| http.port.clone())
                .or_else(|| probe.tcp_socket.as_ref().map(|tcp| tcp.port.clone())),
            None => self.existing().find_map(default_port),
        }
    }

    /// Whether a probe of a member was ever answered.
    pub(super) fn is_armed(&self) -> bool {
        let members = self.group.status.as_ref().map(|status| status.members.as_slice()).unwrap_or_default();
        members.iter().any(|member| matches!(member.probe.as_deref(), Some("Armed" | "Failing")))
    }
}

/// The target port of the first TCP port of a Service.
fn default_port(service: &Service) -> Option<Port> {
    let ports = service.spec.as_ref()?.ports.as_ref()?;
    let port = ports.iter().find(|port| port.protocol.as_deref().unwrap_or("TCP") == "TCP")?;
    Some(target(port.target_port.as_ref(), port.port))
}

/// A target port, which is the port itself where it is not given.
pub(super) fn target(target: Option<&IntOrString>, port: i32) -> Port {
    match target {
        Some(IntOrString::Int(number)) if *number != 0 => Port::Number(i64::from(*number)),
        Some(IntOrString::String(name)) if !name.is_empty() => Port::Name(name.clone()),
        _ => Port::Number(i64::from(port)),
    }
}

/// The number of a port in this pod; `None`: it has no container port of this name.
pub(super) fn number_in(pod: &Pod, port: &Port) -> Option<i64> {
    match port {
        Port::Number(number) => Some(*number),
        Port::Name(name) => {
            let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
            let ports = containers.flat_map(|container| container.ports.iter().flatten());
            ports
                .filter(|port| port.name.as_deref() == Some(name))
                .map(|port| i64::from(port.container_port))
                .next()
        }
    }
}

/// Services that hotstandby leads by their annotation, with the selector that picks their pods.
pub(super) fn annotated(snapshot: &Snapshot) -> impl Iterator<Item = (&Service, BTreeMap<String, String>)> {
    snapshot.objects.services.iter().filter_map(|service| {
        let by_old = annotation(&service.metadata, SERVICE_MODE).is_some_and(|mode| !mode.is_empty());
        let mode = annotation(&service.metadata, names::MODE);
        let by_own = mode == Some(names::ACTIVE_STANDBY);
        let mut selector = selector_of(service);
        selector.remove(DESIGNATION);
        selector.remove(names::MEMBER);
        let is_led = (by_old && mode != Some(names::OFF)) || by_own;
        (is_led && !selector.is_empty()).then_some((service, selector))
    })
}

/// The living pods of a namespace that a selector picks and that carry the designation.
pub(super) fn designated<'a>(
    snapshot: &'a Snapshot,
    namespace: &str,
    selector: &BTreeMap<String, String>,
) -> Vec<&'a str> {
    let here =
        snapshot.objects.pods.iter().filter(|pod| namespace_of(&pod.metadata) == namespace && is_alive(pod));
    here.filter(|pod| picks(selector, pod.metadata.labels.as_ref()))
        .filter(|pod| crate::objects::label(&pod.metadata, DESIGNATION) == Some(DESIGNATED))
        .map(|pod| name_of(&pod.metadata))
        .collect()
}

/// What hotstandby itself says of a group: its conditions that are not well.
pub(super) fn conditions(snapshot: &Snapshot) -> Known<Vec<Finding>> {
    let mut findings = Vec::new();
    for view in views(snapshot)? {
        let status = view.group.status.as_ref();
        let Some(status) = status.filter(|status| !status.conditions.is_empty()) else {
            findings.push(Finding {
                id: "NoStatus",
                severity: Severity::Error,
                object: view.at,
                what: "the group has no status: no controller has looked at it".to_owned(),
                why: "Nothing elects, and no Service leads anywhere, until a controller that watches this namespace runs.",
                remedy: "see whether it runs and watches the namespace: kubectl get pods -A -l \
                         app.kubernetes.io/name=hotstandby"
                    .to_owned(),
            });
            continue;
        };
        for condition in &status.conditions {
            let (severity, bad) = match condition.type_.as_str() {
                "Accepted" | "Ready" => (Severity::Error, "False"),
                "Redundant" | "DetectionReady" => (Severity::Warning, "False"),
                "Stalled" => (Severity::Error, "True"),
                _ => continue,
            };
            if condition.status == bad {
                findings.push(Finding {
                    id: "ConditionNotWell",
                    severity,
                    object: view.at.clone(),
                    what: format!(
                        "{}={}/{}: {}",
                        condition.type_, condition.status, condition.reason, condition.message
                    ),
                    why: "hotstandby says so itself, from what it saw last.",
                    remedy: format!(
                        "{} in docs/troubleshooting.md; the message says what to do",
                        condition.reason
                    ),
                });
            }
        }
    }
    Ok(findings)
}
