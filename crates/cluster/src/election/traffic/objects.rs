//! The two kinds of objects, built.

use super::{Stamp, TrafficStore};
use crate::names;
use hotstandby_core::view::Family;
use k8s_openapi::api::core::v1::{EndpointAddress, EndpointSubset, Endpoints, ObjectReference};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

/// Whether anybody is in them.
pub(super) fn has_addresses(endpoints: &Endpoints) -> bool {
    let filled = |list: Option<&Vec<EndpointAddress>>| list.is_some_and(|list| !list.is_empty());
    endpoints
        .subsets
        .iter()
        .flatten()
        .any(|subset| filled(subset.addresses.as_ref()) || filled(subset.not_ready_addresses.as_ref()))
}

fn mark(meta: &mut ObjectMeta, stamp: &Stamp) {
    let annotations = meta.annotations.get_or_insert_default();
    annotations.insert(names::CONTROLLER.to_owned(), names::AWAIT_CONTROLLER.to_owned());
    annotations.insert(names::SEAT_UID.to_owned(), stamp.lease.to_string());
    annotations.insert(names::TERM.to_owned(), stamp.term.to_string());
}

impl TrafficStore {
    fn pod(&self) -> Option<ObjectReference> {
        let (name, uid) = (self.settings.pod.clone()?, self.pod_uid.clone()?);
        Some(ObjectReference {
            kind: Some("Pod".to_owned()),
            namespace: Some(self.settings.namespace.clone()),
            name: Some(name),
            uid: Some(uid),
            ..ObjectReference::default()
        })
    }

    /// The Endpoints with this pod in them or nobody; of what was found only the metadata stays.
    pub(super) fn endpoints(&self, found: Option<Endpoints>, stamp: &Stamp, present: bool) -> Endpoints {
        let mut metadata = found.map(|found| found.metadata).unwrap_or_default();
        metadata.name = Some(self.settings.service.clone());
        mark(&mut metadata, stamp);
        let subset = || EndpointSubset {
            addresses: Some(vec![EndpointAddress {
                ip: self.settings.ip.to_string(),
                node_name: self.settings.node.clone(),
                target_ref: self.pod(),
                hostname: None,
            }]),
            not_ready_addresses: None,
            ports: Some(self.settings.ports.clone()),
        };
        Endpoints { metadata, subsets: present.then(|| vec![subset()]) }
    }

    /// Our slice with this pod in it or nobody; of what was found the metadata of others stays.
    pub(super) fn slice(
        &self,
        found: Option<EndpointSlice>,
        service_uid: Option<String>,
        stamp: &Stamp,
        present: bool,
    ) -> EndpointSlice {
        let new = found.is_none();
        let mut metadata = found.map(|found| found.metadata).unwrap_or_default();
        metadata.name = Some(self.slice_name());
        mark(&mut metadata, stamp);
        let labels = metadata.labels.get_or_insert_default();
        labels.insert(names::MANAGED_BY_LABEL.to_owned(), names::GROUP.to_owned());
        labels.insert(names::SERVICE_NAME_LABEL.to_owned(), self.settings.service.clone());
        if let (true, Some(uid)) = (new, service_uid) {
            // Without blockOwnerDeletion: that would need a right on the Service's finalizers.
            metadata.owner_references = Some(vec![OwnerReference {
                api_version: "v1".to_owned(),
                kind: "Service".to_owned(),
                name: self.settings.service.clone(),
                uid,
                ..OwnerReference::default()
            }]);
        }
        let address_type = match Family::of(&self.settings.ip) {
            Family::Ipv4 => "IPv4",
            Family::Ipv6 => "IPv6",
        };
        EndpointSlice {
            metadata,
            address_type: address_type.to_owned(),
            endpoints: if present { vec![self.endpoint()] } else { Vec::new() },
            ports: Some(self.slice_ports()),
        }
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint {
            addresses: vec![self.settings.ip.to_string()],
            // Being listed is the verdict.
            conditions: Some(EndpointConditions {
                ready: Some(true),
                serving: Some(true),
                terminating: Some(false),
            }),
            node_name: self.settings.node.clone(),
            target_ref: self.pod(),
            ..Endpoint::default()
        }
    }

    fn slice_ports(&self) -> Vec<EndpointPort> {
        let port = |port: &super::Port| EndpointPort {
            name: Some(port.name.clone().unwrap_or_default()),
            protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".to_owned())),
            port: Some(port.port),
            app_protocol: port.app_protocol.clone(),
        };
        self.settings.ports.iter().map(port).collect()
    }
}
