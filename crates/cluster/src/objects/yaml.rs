//! Objects from YAML as people keep it: several documents, lists, kinds that are none of our business.

use super::{At, Objects, Workload, controller_of};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, from_value};

/// A text cannot be read as Kubernetes objects.
#[derive(Debug, thiserror::Error)]
pub enum BadYaml {
    /// It is no YAML.
    #[error(
        "{source_name} is no YAML: {why}; templates must be rendered first, for example: \
         helm template . | hotstandby import -f -"
    )]
    Syntax {
        /// Where it came from.
        source_name: String,
        /// What the parser said.
        why: String,
    },
    /// An object is not of the form that its kind has.
    #[error(
        "{source_name}: {kind} {name:?} is not of the form that Kubernetes has for it: {why}; see: kubectl explain {kind}"
    )]
    Form {
        /// Where it came from.
        source_name: String,
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// What does not fit.
        why: String,
    },
}

impl Objects {
    /// Adds what a text has in it; `namespace` is for objects that name none. Returns how many were added.
    pub fn add_yaml(&mut self, source_name: &str, text: &str, namespace: &str) -> Result<usize, BadYaml> {
        let documents: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|error| BadYaml::Syntax {
            source_name: source_name.to_owned(),
            why: first_line(&error.to_string()),
        })?;
        let mut added = 0;
        for document in documents {
            added += self.add_value(source_name, document, namespace)?;
        }
        Ok(added)
    }

    fn add_value(&mut self, source_name: &str, mut value: Value, namespace: &str) -> Result<usize, BadYaml> {
        let kind = value.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
        if kind.ends_with("List")
            && let Some(Value::Array(items)) = value.get_mut("items").map(Value::take)
        {
            let mut added = 0;
            for item in items {
                added += self.add_value(source_name, item, namespace)?;
            }
            return Ok(added);
        }
        put_into(&mut value, namespace);
        let known = self.add_kind(&kind, value.clone()).map_err(|error| BadYaml::Form {
            source_name: source_name.to_owned(),
            name: value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned(),
            why: first_line(&error.to_string()),
            kind,
        })?;
        Ok(usize::from(known))
    }

    fn add_kind(&mut self, kind: &str, value: Value) -> Result<bool, serde_json::Error> {
        match kind {
            "Service" => self.services.push(from_value(value)?),
            "EndpointSlice" => self.slices.push(from_value(value)?),
            "Endpoints" => self.endpoints.push(from_value(value)?),
            "ConfigMap" => self.config_maps.push(from_value(value)?),
            "Lease" => self.leases.push(from_value(value)?),
            "Role" => self.roles.push(from_value(value)?),
            "RoleBinding" => self.role_bindings.push(from_value(value)?),
            "ActiveStandby" => self.groups.push(from_value(value)?),
            "Deployment" => self.add_deployment(from_value(value)?),
            "StatefulSet" => {
                self.add_stateful_set(from_value(value)?);
            }
            "ReplicaSet" => {
                self.add_replica_set(from_value(value)?);
            }
            "DaemonSet" => self.add_daemon_set(from_value(value)?),
            "Pod" => {
                let pod: Pod = from_value(value)?;
                // One with a status was dumped from a cluster.
                self.live |= pod.status.is_some();
                self.add_pod(pod);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Adds a Deployment.
    pub(super) fn add_deployment(&mut self, found: Deployment) {
        if let Some(spec) = found.spec {
            self.add_workload("Deployment", &found.metadata, spec.template, spec.replicas);
        }
    }

    /// Adds a StatefulSet.
    pub(super) fn add_stateful_set(&mut self, found: StatefulSet) {
        if let Some(spec) = found.spec {
            self.add_workload("StatefulSet", &found.metadata, spec.template, spec.replicas);
        }
    }

    /// Adds a ReplicaSet, unless a Deployment made it: that one is looked at.
    pub(super) fn add_replica_set(&mut self, found: ReplicaSet) {
        let made = controller_of(&found.metadata).is_some_and(|owner| owner.starts_with("Deployment "));
        if let Some((spec, template)) = found.spec.filter(|_| !made).and_then(|spec| {
            let template = spec.template.clone()?;
            Some((spec, template))
        }) {
            self.add_workload("ReplicaSet", &found.metadata, template, spec.replicas);
        }
    }

    /// Adds a DaemonSet.
    pub(super) fn add_daemon_set(&mut self, found: DaemonSet) {
        if let Some(spec) = found.spec {
            self.add_workload("DaemonSet", &found.metadata, spec.template, None);
        }
    }

    /// Adds a pod; one that nobody made is a workload, too.
    pub(super) fn add_pod(&mut self, pod: Pod) {
        if controller_of(&pod.metadata).is_none() {
            let template = PodTemplateSpec { metadata: Some(pod.metadata.clone()), spec: pod.spec.clone() };
            self.add_workload("Pod", &pod.metadata, template, Some(1));
        }
        self.pods.push(pod);
    }

    fn add_workload(
        &mut self,
        kind: &str,
        meta: &ObjectMeta,
        template: PodTemplateSpec,
        replicas: Option<i32>,
    ) {
        self.workloads.push(Workload {
            at: At::of(kind, meta),
            labels: template.metadata.and_then(|meta| meta.labels).unwrap_or_default(),
            spec: template.spec.unwrap_or_default(),
            replicas,
            owner: controller_of(meta),
        });
    }
}

/// Gives an object that names no namespace this one, as kubectl does.
fn put_into(value: &mut Value, namespace: &str) {
    if let Some(Value::Object(meta)) = value.get_mut("metadata") {
        let found = meta.get("namespace").and_then(Value::as_str).unwrap_or_default();
        if found.is_empty() {
            meta.insert("namespace".to_owned(), namespace.into());
        }
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_lists_and_strangers_are_read() {
        let text = "\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
# Nothing.
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Secret, metadata: {name: s}}
- apiVersion: apps/v1
  kind: Deployment
  metadata: {name: web, namespace: shop}
  spec:
    replicas: 2
    selector: {matchLabels: {app: web}}
    template:
      metadata: {labels: {app: web}}
      spec: {containers: [{name: a, image: x}]}
---
replicaCount: 2
";
        let mut objects = Objects::default();
        assert_eq!(objects.add_yaml("f", text, "default").unwrap(), 2);
        assert_eq!(objects.services[0].metadata.namespace.as_deref(), Some("default"));
        assert_eq!(objects.workloads[0].at.to_string(), "Deployment shop/web");
        assert!(!objects.live);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let mut objects = Objects::default();
        let template =
            objects.add_yaml("values.tpl", "a: {{ .Values.x }}\n  b: [", "d").unwrap_err().to_string();
        assert!(template.contains("values.tpl") && template.contains("helm template"), "{template}");
        let wrong = "kind: Service\nmetadata: {name: web}\nspec: {ports: 80}";
        let wrong = objects.add_yaml("f", wrong, "d").unwrap_err().to_string();
        assert!(wrong.contains("Service \"web\""), "{wrong}");
    }
}
