//! What workload controllers have in common: pods made from templates, and which of them count.

use super::World;
use super::api::{PODS, Program, controller_of, has_ended, is_going, name_of, namespace_of, uid_of};
use crate::ApiServer;
use crate::json::{at, put, text};
use serde_json::{Value, json};
use std::sync::Arc;

/// Letters and digits of generated names: none that make words.
const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
/// Length of a template's hash as text.
const HASH_LENGTH: usize = 10;

/// A short name for a template: equal templates, equal names.
pub(super) fn hash(template: &Value) -> String {
    // FNV-1a: the same on every machine and in every version, unlike the standard library's.
    let mut state = template.to_string().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |state, byte| {
        (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mut text = String::with_capacity(HASH_LENGTH);
    for _ in 0..HASH_LENGTH {
        let index = usize::try_from(state % 27).unwrap_or_default();
        text.push(LETTERS.get(index).copied().map_or('b', char::from));
        state /= 27;
    }
    text
}

/// A reference to the object that controls another.
pub(super) fn owner_reference(owner: &Value) -> Value {
    json!([{
        "apiVersion": at(owner, &["apiVersion"]), "kind": at(owner, &["kind"]), "name": name_of(owner),
        "uid": uid_of(owner), "controller": true, "blockOwnerDeletion": true,
    }])
}

/// A pod from a workload's template, without a name.
pub(super) fn pod_of(owner: &Value) -> Value {
    let template = at(owner, &["spec", "template"]);
    let mut metadata = at(template, &["metadata"]).clone();
    put(&mut metadata, &["namespace"], namespace_of(owner));
    put(&mut metadata, &["ownerReferences"], owner_reference(owner));
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": at(template, &["spec"])})
}

/// How many replicas are wanted.
pub(super) fn wanted(owner: &Value) -> usize {
    at(owner, &["spec", "replicas"]).as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or(1)
}

/// A number in an object's status.
pub(super) fn number(object: &Value, path: &[&str]) -> usize {
    at(object, path).as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or_default()
}

/// The pods an owner controls.
pub(super) fn pods_of(server: &ApiServer, owner: &Value) -> Vec<Arc<Value>> {
    let uid = uid_of(owner);
    PODS.all(server).into_iter().filter(|pod| controller_of(pod) == Some(uid)).collect()
}

/// Whether a pod counts as one of the replicas.
pub(super) fn is_active(pod: &Value) -> bool {
    !is_going(pod) && !has_ended(pod)
}

/// Whether an object has been written since its controller last looked: `status.observedGeneration`.
pub(super) fn generation(object: &Value) -> Value {
    at(object, &["metadata", "generation"]).clone()
}

/// The value of an object's label.
pub(super) fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    text(object, &["metadata", "labels", key])
}

impl World {
    /// Creates a pod of a workload.
    pub(super) fn create_pod(&mut self, server: &mut ApiServer, pod: &Value) -> bool {
        self.create(server, Program::Controllers, PODS, pod)
    }

    /// Deletes a pod of a workload.
    pub(super) fn delete_pod(&mut self, server: &mut ApiServer, pod: &Value) {
        self.delete(server, Program::Controllers, PODS, pod, None);
    }
}
