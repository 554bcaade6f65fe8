//! Defaults of built-in kinds.

use crate::json::{at, each, items, put, put_default, take, text};
use crate::kinds::Kind;
use serde_json::{Value, json};

/// Fills in what the maker left out.
pub(crate) fn default(kind: &Kind, object: &mut Value) {
    if kind.is_custom() {
        return;
    }
    match kind.plural.as_ref() {
        "pods" => pod(object),
        "services" => service(object),
        "endpointslices" => slice(object),
        "endpoints" => each(object, &["subsets"], |subset| {
            each(subset, &["ports"], |port| put_default(port, &["protocol"], "TCP"));
        }),
        "deployments" => {
            put_default(object, &["spec", "replicas"], 1);
            put_default(object, &["spec", "revisionHistoryLimit"], 10);
            put_default(object, &["spec", "progressDeadlineSeconds"], 600);
            put_default(object, &["spec", "strategy", "type"], "RollingUpdate");
            if text(object, &["spec", "strategy", "type"]) == Some("RollingUpdate") {
                put_default(object, &["spec", "strategy", "rollingUpdate", "maxSurge"], "25%");
                put_default(object, &["spec", "strategy", "rollingUpdate", "maxUnavailable"], "25%");
            }
            template(object);
        }
        "replicasets" => {
            put_default(object, &["spec", "replicas"], 1);
            template(object);
        }
        "statefulsets" => {
            put_default(object, &["spec", "replicas"], 1);
            put_default(object, &["spec", "revisionHistoryLimit"], 10);
            put_default(object, &["spec", "podManagementPolicy"], "OrderedReady");
            let retain = json!({"whenDeleted": "Retain", "whenScaled": "Retain"});
            put_default(object, &["spec", "persistentVolumeClaimRetentionPolicy"], retain);
            put_default(object, &["spec", "updateStrategy", "type"], "RollingUpdate");
            if text(object, &["spec", "updateStrategy", "type"]) == Some("RollingUpdate") {
                put_default(object, &["spec", "updateStrategy", "rollingUpdate", "partition"], 0);
            }
            template(object);
        }
        "customresourcedefinitions" => crate::crd::default(object),
        // The Go type has it even where nothing is in it.
        "leases" => {
            put_default(object, &["spec"], json!({}));
            // Behind a gate that is off.
            for field in ["strategy", "preferredHolder"] {
                take(object, &["spec", field]);
            }
        }
        "events" => event(object),
        _ => {}
    }
}

/// Fields without which the Go type is never written.
fn event(event: &mut Value) {
    if at(event, &["eventTime"]).is_null() {
        put(event, &["eventTime"], Value::Null);
    }
    for field in ["reportingComponent", "reportingInstance"] {
        put_default(event, &[field], "");
    }
}

fn slice(slice: &mut Value) {
    each(slice, &["ports"], |port| {
        put_default(port, &["name"], "");
        put_default(port, &["protocol"], "TCP");
    });
    each(slice, &["endpoints"], |endpoint| {
        put_default(endpoint, &["conditions"], json!({}));
        take(endpoint, &["deprecatedTopology"]);
    });
    // The Go type writes these out even where there are none.
    for list in ["endpoints", "ports"] {
        if items(slice, &[list]).is_empty() {
            put(slice, &[list], Value::Null);
        }
    }
}

fn template(object: &mut Value) {
    if let Some(template) = object.get_mut("spec").and_then(|spec| spec.get_mut("template"))
        && let Some(spec) = template.get_mut("spec")
    {
        pod_spec(spec);
        put_default(template, &["metadata"], json!({}));
    }
}

fn pod(pod: &mut Value) {
    put_default(pod, &["spec"], json!({}));
    if let Some(spec) = pod.get_mut("spec") {
        pod_spec(spec);
        // What admission adds to pods, but not to templates.
        put_default(spec, &["serviceAccountName"], "default");
        let account = at(spec, &["serviceAccountName"]).clone();
        put_default(spec, &["serviceAccount"], account);
        put_default(spec, &["priority"], 0);
        put_default(spec, &["enableServiceLinks"], true);
        put_default(spec, &["preemptionPolicy"], "PreemptLowerPriority");
        tolerations(spec);
    }
    let qos = qos(pod);
    put_default(pod, &["status", "qosClass"], qos);
}

/// Every pod tolerates an ill node for five minutes.
fn tolerations(spec: &mut Value) {
    let mut all = items(spec, &["tolerations"]).to_vec();
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let known = all.iter().any(|one| {
            text(one, &["key"]) == Some(key)
                || (text(one, &["key"]).is_none() && text(one, &["operator"]) == Some("Exists"))
        });
        if !known {
            all.push(
                json!({"effect": "NoExecute", "key": key, "operator": "Exists", "tolerationSeconds": 300}),
            );
        }
    }
    put(spec, &["tolerations"], all);
}

fn qos(pod: &Value) -> &'static str {
    let containers = items(pod, &["spec", "containers"]);
    let any = containers.iter().any(|container| {
        ["requests", "limits"].iter().any(|key| at(container, &["resources", key]).is_object())
    });
    let full = |container: &Value| {
        ["cpu", "memory"].iter().all(|name| {
            let limit = at(container, &["resources", "limits", name]);
            !limit.is_null() && at(container, &["resources", "requests", name]) == limit
        })
    };
    match any {
        true if containers.iter().all(full) => "Guaranteed",
        true => "Burstable",
        false => "BestEffort",
    }
}

fn pod_spec(spec: &mut Value) {
    put_default(spec, &["restartPolicy"], "Always");
    put_default(spec, &["dnsPolicy"], "ClusterFirst");
    put_default(spec, &["terminationGracePeriodSeconds"], 30);
    put_default(spec, &["schedulerName"], "default-scheduler");
    put_default(spec, &["securityContext"], json!({}));
    if at(spec, &["terminationGracePeriodSeconds"]).as_i64().is_some_and(|grace| grace < 0) {
        put(spec, &["terminationGracePeriodSeconds"], 1);
    }
    if at(spec, &["hostNetwork"]) == true {
        each(spec, &["containers"], |container| {
            each(container, &["ports"], |port| {
                let number = at(port, &["containerPort"]).clone();
                put_default(port, &["hostPort"], number);
            });
        });
    }
    each(spec, &["volumes"], |volume| {
        for source in ["configMap", "secret", "projected", "downwardAPI"] {
            if at(volume, &[source]).is_object() {
                put_default(volume, &[source, "defaultMode"], 420);
            }
        }
    });
    each(spec, &["containers"], container);
    each(spec, &["initContainers"], container);
}

fn container(container: &mut Value) {
    let image = text(container, &["image"]).unwrap_or_default();
    let tag = image.rsplit('/').next().and_then(|name| name.split_once(':')).map(|(_, tag)| tag);
    let latest = tag.is_none_or(|tag| tag == "latest") && !image.contains('@');
    put_default(container, &["imagePullPolicy"], if latest { "Always" } else { "IfNotPresent" });
    put_default(container, &["terminationMessagePath"], "/dev/termination-log");
    put_default(container, &["terminationMessagePolicy"], "File");
    put_default(container, &["resources"], json!({}));
    // What is limited and not asked for is asked for.
    let limits = at(container, &["resources", "limits"]).clone();
    for (name, limit) in limits.as_object().into_iter().flatten() {
        put_default(container, &["resources", "requests", name.as_str()], limit.clone());
    }
    each(container, &["env"], |one| {
        if at(one, &["valueFrom", "fieldRef"]).is_object() {
            put_default(one, &["valueFrom", "fieldRef", "apiVersion"], "v1");
        }
    });
    each(container, &["ports"], |port| put_default(port, &["protocol"], "TCP"));
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = container.get_mut(name).filter(|probe| probe.is_object()) {
            put_default(probe, &["timeoutSeconds"], 1);
            put_default(probe, &["periodSeconds"], 10);
            put_default(probe, &["successThreshold"], 1);
            put_default(probe, &["failureThreshold"], 3);
            if at(probe, &["grpc"]).is_object() {
                put_default(probe, &["grpc", "service"], "");
            }
            if at(probe, &["httpGet"]).is_object() {
                put_default(probe, &["httpGet", "path"], "/");
                put_default(probe, &["httpGet", "scheme"], "HTTP");
            }
        }
    }
}

fn service(service: &mut Value) {
    put_default(service, &["spec"], json!({}));
    put_default(service, &["spec", "type"], "ClusterIP");
    put_default(service, &["spec", "sessionAffinity"], "None");
    if text(service, &["spec", "sessionAffinity"]) == Some("ClientIP") {
        put_default(service, &["spec", "sessionAffinityConfig", "clientIP", "timeoutSeconds"], 10800);
    }
    let kind = text(service, &["spec", "type"]).unwrap_or_default().to_owned();
    if kind != "ExternalName" {
        put_default(service, &["spec", "internalTrafficPolicy"], "Cluster");
    }
    if kind == "NodePort" || kind == "LoadBalancer" {
        put_default(service, &["spec", "externalTrafficPolicy"], "Cluster");
    }
    each(service, &["spec", "ports"], |port| {
        put_default(port, &["protocol"], "TCP");
        let number = at(port, &["port"]).clone();
        put_default(port, &["targetPort"], number);
    });
}
