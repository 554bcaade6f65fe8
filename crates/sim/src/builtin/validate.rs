//! Checks of built-in kinds: those the product meets, not all the real server has.

use super::names::{key_errors, label_error};
use super::network::{NO_IP, endpoints, ip_of, port_number, service, slice};
use crate::failure::FieldError;
use crate::json::{at, items, text};
use crate::kinds::Kind;
use serde_json::{Value, json};

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
        "pods" => pod(object, &mut errors),
        "deployments" | "replicasets" | "statefulsets" => workload(object, &mut errors),
        "customresourcedefinitions" => errors.extend(crate::crd::validate(object)),
        "endpoints" => endpoints(object, &mut errors),
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
        } else if let Some(why) = label_error(name) {
            errors.push(FieldError::invalid(format!("{named}[{index}].name"), &json!(name), why));
        } else if names.contains(&name) {
            errors.push(FieldError::duplicate(format!("{named}[{index}].name"), &json!(name)));
        }
        names.push(name);
        if text(container, &["image"]).is_none() {
            errors.push(FieldError::required(format!("{named}[{index}].image"), ""));
        }
        for (inner, port) in items(container, &["ports"]).iter().enumerate() {
            let place = format!("{named}[{index}].ports[{inner}].containerPort");
            port_number(at(port, &["containerPort"]), place, errors);
        }
        for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
            let asked = at(container, &[probe]);
            let ways = ["exec", "grpc", "httpGet", "tcpSocket"];
            if asked.is_object() && ways.iter().all(|way| at(asked, &[way]).is_null()) {
                errors.push(FieldError::required(
                    format!("{named}[{index}].{probe}"),
                    "must specify a handler type",
                ));
            }
        }
    }
}

fn pod(pod: &Value, errors: &mut Vec<FieldError>) {
    containers(pod, &["spec", "containers"], "spec.containers", errors);
    let known = ["Always", "OnFailure", "Never"].map(str::to_owned);
    let policy = at(pod, &["spec", "restartPolicy"]);
    if !known.iter().any(|one| policy == one.as_str()) {
        errors.push(FieldError::not_supported("spec.restartPolicy", policy, &known));
    }
    for (index, one) in items(pod, &["status", "podIPs"]).iter().enumerate() {
        let ip = at(one, &["ip"]);
        if ip.as_str().and_then(ip_of).is_none() {
            errors.push(FieldError::invalid(format!("status.podIPs[{index}]"), ip, NO_IP));
        }
    }
}

fn workload(object: &Value, errors: &mut Vec<FieldError>) {
    let wanted = at(object, &["spec", "selector", "matchLabels"]);
    if wanted.is_null() && at(object, &["spec", "selector", "matchExpressions"]).is_null() {
        errors.push(FieldError::required("spec.selector", ""));
    }
    let labels = at(object, &["spec", "template", "metadata", "labels"]);
    if let Some(replicas) = at(object, &["spec", "replicas"]).as_i64().filter(|replicas| *replicas < 0) {
        let why = "must be greater than or equal to 0";
        errors.push(FieldError::invalid("spec.replicas", &json!(replicas), why));
    }
    let all = !wanted.is_null()
        && wanted.as_object().into_iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    if !all {
        let why = "`selector` does not match template `labels`";
        errors.push(FieldError::invalid("spec.template.metadata.labels", labels, why));
    }
    containers(object, &["spec", "template", "spec", "containers"], "spec.template.spec.containers", errors);
}

/// The longest fields of an event.
const LONGEST: [(&str, usize); 4] =
    [("reportingInstance", 128), ("action", 128), ("reason", 128), ("message", 1024)];

fn event(event: &Value, errors: &mut Vec<FieldError>) {
    let here = text(event, &["metadata", "namespace"]).unwrap_or_default();
    let about = text(event, &["involvedObject", "namespace"]).unwrap_or_default();
    let place = |fine: bool, errors: &mut Vec<FieldError>| {
        if !fine {
            let why = "does not match event.namespace";
            errors.push(FieldError::invalid("involvedObject.namespace", &json!(about), why));
        }
    };
    // Only events with an eventTime are held to the newer API's rules.
    if text(event, &["eventTime"]).is_none() {
        place(about == here || (about.is_empty() && here == "default"), errors);
        return;
    }
    place(!about.is_empty() || here == "default" || here == "kube-system", errors);
    let controller = text(event, &["reportingComponent"]).unwrap_or_default();
    if controller.is_empty() {
        errors.push(FieldError::required("reportingController", ""));
    }
    let wrong = key_errors(controller);
    errors
        .extend(wrong.iter().map(|why| FieldError::invalid("reportingController", &json!(controller), why)));
    for (field, most) in LONGEST {
        let value = text(event, &[field]).unwrap_or_default();
        if value.is_empty() && field != "message" {
            errors.push(FieldError::required(field, ""));
        }
        if value.len() > most {
            errors.push(FieldError::invalid(
                field,
                &json!(""),
                &format!("can have at most {most} characters"),
            ));
        }
    }
}

/// What the newer API asks for beyond that.
pub(crate) fn new_event(event: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut invalid = |field: &str, why: &str| errors.push(FieldError::invalid(field, &json!(""), why));
    if at(event, &["series", "count"]).as_i64().is_some_and(|count| count < 2) {
        invalid("series.count", "should be at least 2");
    }
    let kind = text(event, &["type"]).unwrap_or_default();
    if kind != "Normal" && kind != "Warning" {
        invalid("type", &format!("has invalid value: {kind}"));
    }
    for field in ["firstTimestamp", "lastTimestamp", "count"] {
        let value = at(event, &[field]);
        if !value.is_null() && value != 0 {
            invalid(field, "needs to be unset");
        }
    }
    if text(event, &["source", "component"]).is_some() {
        invalid("source", "needs to be unset");
    }
    if text(event, &["eventTime"]).is_none() {
        errors.insert(0, FieldError::required("eventTime", ""));
    }
    errors
}

/// What an update may not change.
pub(crate) fn validate_update(kind: &Kind, new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut immutable = |path: &[&str]| {
        if at(new, path) != at(old, path) {
            errors.push(FieldError::invalid(path.join("."), at(new, path), "field is immutable"));
        }
    };
    // The real server checks it in two places, and says so twice.
    immutable(&["metadata", "uid"]);
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
                let value = json!([at(new, &["spec", "clusterIP"])]);
                errors.push(FieldError::invalid("spec.clusterIPs[0]", &value, "may not change once set"));
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
        "events" if kind.group == "events.k8s.io" => {
            for field in
                ["involvedObject", "reason", "message", "type", "eventTime", "action", "reportingComponent"]
            {
                immutable(&[field]);
            }
        }
        "pods" => {
            let deadline = |pod: &Value| at(pod, &["spec", "activeDeadlineSeconds"]).as_i64();
            if deadline(new).is_none() && deadline(old).is_some() {
                let why = "must not update from a positive integer to nil value";
                errors.push(FieldError::invalid("spec.activeDeadlineSeconds", &Value::Null, why));
            }
            errors.extend(pod_update(new, old));
        }
        "configmaps" if at(old, &["immutable"]) == true && at(new, &["data"]) != at(old, &["data"]) => {
            errors.push(FieldError::forbidden("data", "field is immutable when `immutable` is set"));
        }
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
        for field in ["activeDeadlineSeconds", "tolerations", "schedulingGates"] {
            crate::json::take(&mut spec, &[field]);
        }
        spec
    };
    let why = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
    (fixed(new) != fixed(old)).then(|| FieldError::forbidden("spec", why))
}
