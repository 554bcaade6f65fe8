//! Checks of built-in kinds: those the product meets, not all the real server has.

use crate::failure::FieldError;
use crate::json::{at, items, text};
use crate::kinds::Kind;
use serde_json::{Value, json};
use std::net::IpAddr;

/// What is wrong with an object.
pub(crate) fn validate(kind: &Kind, object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if let Some(custom) = &kind.custom {
        return custom.validate(object);
    }
    match kind.plural.as_ref() {
        "leases" => lease(object, &mut errors),
        "endpointslices" => slice(object, &mut errors),
        "services" => service(object, &mut errors),
        "pods" => containers(object, &["spec", "containers"], "spec.containers", &mut errors),
        "deployments" | "replicasets" | "statefulsets" => workload(object, &mut errors),
        "customresourcedefinitions" => errors.extend(crate::crd::validate(object)),
        "events" => event(object, &mut errors),
        _ => {}
    }
    errors
}

fn lease(lease: &Value, errors: &mut Vec<FieldError>) {
    let number = |field: &str| at(lease, &["spec", field]).as_i64();
    if let Some(seconds) = number("leaseDurationSeconds").filter(|seconds| *seconds <= 0) {
        errors.push(FieldError::invalid(
            "spec.leaseDurationSeconds",
            &json!(seconds),
            "must be greater than 0",
        ));
    }
    if let Some(count) = number("leaseTransitions").filter(|count| *count < 0) {
        let why = "must be greater than or equal to 0";
        errors.push(FieldError::invalid("spec.leaseTransitions", &json!(count), why));
    }
    if text(lease, &["spec", "preferredHolder"]).is_some() && text(lease, &["spec", "strategy"]).is_none() {
        let why = "may only be specified if `strategy` is defined";
        errors.push(FieldError::forbidden("spec.preferredHolder", why));
    }
}

fn slice(slice: &Value, errors: &mut Vec<FieldError>) {
    let known = ["FQDN", "IPv4", "IPv6"].map(str::to_owned);
    let family = text(slice, &["addressType"]).unwrap_or_default();
    if family.is_empty() {
        errors.push(FieldError::required("addressType", ""));
    } else if !known.iter().any(|one| one == family) {
        errors.push(FieldError::not_supported("addressType", &json!(family), &known));
    }
    let endpoints = items(slice, &["endpoints"]);
    if endpoints.len() > 1000 {
        errors.push(FieldError::too_many("endpoints", endpoints.len(), 1000));
    }
    for (index, endpoint) in endpoints.iter().enumerate() {
        let path = format!("endpoints[{index}].addresses");
        let addresses = items(endpoint, &["addresses"]);
        if addresses.is_empty() {
            errors.push(FieldError::required(&path, "must contain at least 1 address"));
        }
        for address in addresses {
            let parsed = address.as_str().and_then(|text| text.parse::<IpAddr>().ok());
            let fits = match (family, parsed) {
                ("IPv4", parsed) => parsed.is_some_and(|ip| ip.is_ipv4()),
                ("IPv6", parsed) => parsed.is_some_and(|ip| ip.is_ipv6()),
                _ => true,
            };
            if !fits {
                let why = format!("must be an {family} address");
                errors.push(FieldError::invalid(&path, address, &why));
            }
        }
    }
    ports(items(slice, &["ports"]), "ports", errors);
}

/// What no slice and no endpoints may name: a connection to it would go anywhere but to a pod.
pub(crate) fn special_addresses(kind: &Kind, object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut check = |path: String, address: &Value| {
        let ip = address.as_str().and_then(|text| text.parse::<IpAddr>().ok());
        if let Some(why) = ip.and_then(special) {
            errors.push(FieldError::invalid(path, address, why));
        }
    };
    if kind.is("endpointslices") {
        for (index, endpoint) in items(object, &["endpoints"]).iter().enumerate() {
            for (inner, address) in items(endpoint, &["addresses"]).iter().enumerate() {
                check(format!("endpoints[{index}].addresses[{inner}]"), address);
            }
        }
    } else if kind.is("endpoints") {
        for (index, subset) in items(object, &["subsets"]).iter().enumerate() {
            for list in ["addresses", "notReadyAddresses"] {
                for (inner, address) in items(subset, &[list]).iter().enumerate() {
                    check(format!("subsets[{index}].{list}[{inner}].ip"), at(address, &["ip"]));
                }
            }
        }
    }
    errors
}

fn special(ip: IpAddr) -> Option<&'static str> {
    let link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    let link_local_multicast = match ip {
        IpAddr::V4(ip) => ip.octets().starts_with(&[224, 0, 0]),
        IpAddr::V6(ip) => ip.octets().starts_with(&[0xff, 0x02]),
    };
    if ip.is_unspecified() {
        Some("may not be unspecified (0.0.0.0 or ::)")
    } else if ip.is_loopback() {
        Some("may not be in the loopback range (127.0.0.0/8, ::1/128)")
    } else if link_local {
        Some("may not be in the link-local range (169.254.0.0/16, fe80::/10)")
    } else if link_local_multicast {
        Some("may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)")
    } else {
        None
    }
}

/// Names used once, numbers in range.
fn ports(ports: &[Value], path: &str, errors: &mut Vec<FieldError>) {
    let mut names = Vec::new();
    for (index, port) in ports.iter().enumerate() {
        let name = text(port, &["name"]).unwrap_or_default();
        if names.contains(&name) {
            errors.push(FieldError::duplicate(format!("{path}[{index}].name"), &json!(name)));
        }
        names.push(name);
        let number = at(port, &["port"]);
        if !number.is_null() && !number.as_i64().is_some_and(|number| (1..=65535).contains(&number)) {
            let why = "must be between 1 and 65535, inclusive";
            errors.push(FieldError::invalid(format!("{path}[{index}].port"), number, why));
        }
    }
}

fn service(service: &Value, errors: &mut Vec<FieldError>) {
    let kind = text(service, &["spec", "type"]).unwrap_or_default();
    let known = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"].map(str::to_owned);
    if !known.iter().any(|one| one == kind) {
        errors.push(FieldError::not_supported("spec.type", &json!(kind), &known));
    }
    let listed = items(service, &["spec", "ports"]);
    let headless = text(service, &["spec", "clusterIP"]) == Some("None");
    if listed.is_empty() && !headless && kind != "ExternalName" {
        errors.push(FieldError::required("spec.ports", ""));
    }
    if kind == "ExternalName" && text(service, &["spec", "externalName"]).is_none() {
        errors.push(FieldError::required("spec.externalName", ""));
    }
    for (index, port) in listed.iter().enumerate() {
        if listed.len() > 1 && text(port, &["name"]).is_none() {
            errors.push(FieldError::required(format!("spec.ports[{index}].name"), ""));
        }
    }
    if listed.len() > 1 || listed.iter().all(|port| text(port, &["name"]).is_some()) {
        ports(listed, "spec.ports", errors);
    }
}

fn containers(object: &Value, path: &[&str], named: &str, errors: &mut Vec<FieldError>) {
    let listed = items(object, path);
    if listed.is_empty() {
        errors.push(FieldError::required(named, ""));
    }
    let mut names = Vec::new();
    for (index, container) in listed.iter().enumerate() {
        let name = text(container, &["name"]).unwrap_or_default();
        if name.is_empty() {
            errors.push(FieldError::required(format!("{named}[{index}].name"), ""));
        } else if names.contains(&name) {
            errors.push(FieldError::duplicate(format!("{named}[{index}].name"), &json!(name)));
        }
        names.push(name);
        if text(container, &["image"]).is_none() {
            errors.push(FieldError::required(format!("{named}[{index}].image"), ""));
        }
    }
}

fn workload(object: &Value, errors: &mut Vec<FieldError>) {
    let wanted = at(object, &["spec", "selector", "matchLabels"]);
    if wanted.is_null() && at(object, &["spec", "selector", "matchExpressions"]).is_null() {
        errors.push(FieldError::required("spec.selector", ""));
    }
    let labels = at(object, &["spec", "template", "metadata", "labels"]);
    let all = wanted.as_object().into_iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    if !all {
        let why = "`selector` does not match template `labels`";
        errors.push(FieldError::invalid("spec.template.metadata.labels", labels, why));
    }
    containers(object, &["spec", "template", "spec", "containers"], "spec.template.spec.containers", errors);
}

/// Longest note of an event.
const LONGEST_NOTE: usize = 1024;

fn event(event: &Value, errors: &mut Vec<FieldError>) {
    let here = text(event, &["metadata", "namespace"]).unwrap_or_default();
    let about = text(event, &["involvedObject", "namespace"]).unwrap_or_default();
    if about != here && !(about.is_empty() && here == "default") {
        errors.push(FieldError::invalid(
            "involvedObject.namespace",
            &json!(about),
            "does not match event.namespace",
        ));
    }
    // Only events with an eventTime are held to the newer API's rules.
    if text(event, &["eventTime"]).is_none() {
        return;
    }
    for (field, shown) in [
        ("reportingComponent", "reportingController"),
        ("reportingInstance", "reportingInstance"),
        ("action", "action"),
        ("reason", "reason"),
    ] {
        if text(event, &[field]).is_none() {
            errors.push(FieldError::required(shown, ""));
        }
    }
    if text(event, &["message"]).is_some_and(|note| note.len() > LONGEST_NOTE) {
        let note = at(event, &["message"]);
        errors.push(FieldError::invalid("message", note, "can have at most 1024 characters"));
    }
}

/// What an update may not change.
pub(crate) fn validate_update(kind: &Kind, new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut immutable = |path: &[&str]| {
        if at(new, path) != at(old, path) {
            errors.push(FieldError::invalid(path.join("."), at(new, path), "field is immutable"));
        }
    };
    immutable(&["metadata", "uid"]);
    if kind.is_custom() {
        return errors;
    }
    match kind.plural.as_ref() {
        "endpointslices" => immutable(&["addressType"]),
        "deployments" | "replicasets" => immutable(&["spec", "selector"]),
        "services" => {
            let was = text(old, &["spec", "clusterIP"]).is_some();
            let stays = text(old, &["spec", "type"]) == text(new, &["spec", "type"]);
            if was && stays && at(new, &["spec", "clusterIP"]) != at(old, &["spec", "clusterIP"]) {
                let value = at(new, &["spec", "clusterIP"]);
                errors.push(FieldError::invalid("spec.clusterIPs[0]", value, "may not change once set"));
            }
        }
        "statefulsets" => {
            for field in ["selector", "serviceName", "podManagementPolicy", "volumeClaimTemplates"] {
                if at(new, &["spec", field]) != at(old, &["spec", field]) {
                    let why = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
                    errors.push(FieldError::forbidden("spec", why));
                    break;
                }
            }
        }
        "pods" => errors.extend(pod_update(new, old)),
        _ => {}
    }
    errors
}

/// Of a pod's spec only images, deadline, tolerations and a few more may change.
fn pod_update(new: &Value, old: &Value) -> Option<FieldError> {
    let fixed = |pod: &Value| {
        let mut spec = at(pod, &["spec"]).clone();
        for list in ["containers", "initContainers"] {
            crate::json::each(&mut spec, &[list], |one| {
                crate::json::take(one, &["image"]);
            });
        }
        for field in
            ["activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "schedulingGates"]
        {
            crate::json::take(&mut spec, &[field]);
        }
        spec
    };
    let why = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
    (fixed(new) != fixed(old)).then(|| FieldError::forbidden("spec", why))
}
