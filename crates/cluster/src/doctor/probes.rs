//! Whether probes can tell anything: ports that exist, and no sidecar that answers in the app's place.

use super::group::{View, number_in, target, views};
use super::traffic::list;
use super::{Finding, Known, Severity, Snapshot};
use crate::api::port::Port;
use crate::objects::{At, name_of};
use crate::wire::WirePod;
use k8s_openapi::api::core::v1::Pod;

/// Named ports that pods do not have, and numbers that no container declares.
pub(super) fn ports(snapshot: &Snapshot) -> Known<Vec<Finding>> {
    let mut findings = Vec::new();
    for view in views(snapshot)? {
        if let Some(port) = view.probe_port() {
            findings.extend(probe_port(&view, &port));
        }
        for service in view.existing() {
            for port in service.spec.iter().flat_map(|spec| spec.ports.iter().flatten()) {
                let target = target(port.target_port.as_ref(), port.port);
                let Port::Name(name) = &target else { continue };
                let without = without(&view, &target);
                if !without.is_empty() {
                    findings.push(Finding {
                        id: "TargetPortMissing",
                        severity: Severity::Error,
                        object: At::of("Service", &service.metadata),
                        what: format!("its target port {name:?} is no container port of {}", list(&without)),
                        why: "A named target port is looked up in each pod; a pod without it cannot be led to on that port.",
                        remedy: "name the container port in the pods' template, or write a number as targetPort".to_owned(),
                    });
                }
            }
        }
    }
    Ok(findings)
}

fn without<'a>(view: &View<'a>, port: &Port) -> Vec<&'a str> {
    view.members
        .iter()
        .filter(|pod| number_in(pod, port).is_none())
        .map(|pod| name_of(&pod.metadata))
        .collect()
}

fn probe_port(view: &View<'_>, port: &Port) -> Option<Finding> {
    let missing = without(view, port);
    if let (Port::Name(name), false) = (port, missing.is_empty()) {
        return Some(Finding {
            id: "ProbePortMissing",
            severity: Severity::Error,
            object: view.at.clone(),
            what: format!("the probe's port {name:?} is no container port of {}", list(&missing)),
            why: "A port's name is looked up in each pod; a pod without it cannot be probed, and its failures are not noticed.",
            remedy: "name the container port in the pods' template, or write a number in detect.probe"
                .to_owned(),
        });
    }
    let Port::Number(number) = port else { return None };
    let undeclared: Vec<_> = view
        .members
        .iter()
        .filter(|pod| is_undeclared(pod, *number))
        .map(|pod| name_of(&pod.metadata))
        .collect();
    (!undeclared.is_empty() && !view.is_armed()).then(|| Finding {
        id: "ProbePortUndeclared",
        severity: Severity::Warning,
        object: view.at.clone(),
        what: format!("port {number} is probed, never answered, and no container of {} declares it", list(&undeclared)),
        why: "Declared ports are information only, so this may be right; but a probe of a port where nothing listens finds every \
              pod dead.",
        remedy: "compare detect.probe (or the Service's target port) with where the app listens".to_owned(),
    })
}

/// Whether the pod declares ports, and not this one.
fn is_undeclared(pod: &Pod, number: i64) -> bool {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let declared: Vec<_> = containers
        .flat_map(|container| container.ports.iter().flatten())
        .map(|port| i64::from(port.container_port))
        .collect();
    !declared.is_empty() && !declared.contains(&number)
}

/// Sidecars that answer a TCP connect in the app's place.
pub(super) fn meshes(snapshot: &Snapshot) -> Known<Vec<Finding>> {
    let mut findings = Vec::new();
    for view in views(snapshot)? {
        let probe = view.group.spec.detect.probe.as_ref();
        let by_tcp = probe.is_none_or(|probe| probe.tcp_socket.is_some());
        let meshed: Vec<_> =
            view.members.iter().filter_map(|pod| Some((name_of(&pod.metadata), mesh(pod)?))).collect();
        let Some((_, mesh)) = meshed.first().filter(|_| by_tcp) else { continue };
        let names: Vec<_> = meshed.iter().map(|(name, _)| *name).collect();
        findings.push(Finding {
            id: "MeshAnswersTcp",
            severity: Severity::Error,
            object: view.at.clone(),
            what: format!("{} carry a sidecar of {mesh}, and the probe is a TCP connect", list(&names)),
            why: "The sidecar accepts connections for the app, so a TCP probe succeeds although the app is dead.",
            remedy: "set detect.probe.httpGet to a path that the app itself answers".to_owned(),
        });
    }
    Ok(findings)
}

fn mesh(pod: &Pod) -> Option<&'static str> {
    // The one place that knows meshes reads the slimmer type.
    let wire: WirePod = serde_json::to_value(pod).and_then(serde_json::from_value).ok()?;
    crate::pod::mesh(&wire)
}
