use super::*;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, ResourceQuota, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde::Deserialize as _;
use serde::Serialize;
use serde::de::DeserializeOwned;

fn documents(text: &str) -> Vec<Value> {
    serde_norway::Deserializer::from_str(text).map(|document| Value::deserialize(document).unwrap()).collect()
}

/// Reads as the real type and comes back the same: no field is misspelt or misplaced.
fn round_trip<T: DeserializeOwned + Serialize>(object: &Value) {
    let typed: T = serde_json::from_value(object.clone()).unwrap();
    let back = serde_json::to_value(&typed).unwrap();
    assert_eq!(documents(&to_yaml(&back).unwrap()), vec![object.clone()]);
}

#[test]
fn every_object_is_what_it_says() {
    for file in files().unwrap() {
        for object in documents(&file.content) {
            match object["kind"].as_str().unwrap() {
                "CustomResourceDefinition" => round_trip::<CustomResourceDefinition>(&object),
                "Namespace" => round_trip::<Namespace>(&object),
                "ResourceQuota" => round_trip::<ResourceQuota>(&object),
                "ServiceAccount" => round_trip::<ServiceAccount>(&object),
                "ClusterRole" => round_trip::<ClusterRole>(&object),
                "ClusterRoleBinding" => round_trip::<ClusterRoleBinding>(&object),
                "Role" => round_trip::<Role>(&object),
                "RoleBinding" => round_trip::<RoleBinding>(&object),
                "Deployment" => round_trip::<Deployment>(&object),
                "PodDisruptionBudget" => round_trip::<PodDisruptionBudget>(&object),
                other => panic!("{other} in {} is not checked", file.name),
            }
        }
    }
}

fn kinds(text: &str) -> Vec<String> {
    documents(text).iter().map(|object| object["kind"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn namespaced_install_has_no_cluster_rights() {
    let two = Install { watched: vec!["a".into(), "b".into()], ..Install::default() };
    let text = install(&two).unwrap();
    assert!(kinds(&text).iter().all(|kind| !kind.starts_with("ClusterRole")));
    assert_eq!(kinds(&text).iter().filter(|kind| *kind == "Role").count(), 3);
    assert!(!text.contains("- nodes\n"), "nodes cannot be read through a Role");
    assert!(text.contains("--namespace=a") && text.contains("--namespace=b"));
    assert!(!install(&Install::default()).unwrap().contains("--namespace="));
}

#[test]
fn leases_are_written_in_the_own_namespace_only() {
    for object in documents(&install(&Install::default()).unwrap()) {
        if object["rules"].to_string().contains("leases") {
            assert_eq!(object["kind"], "Role");
            assert_eq!(object["metadata"]["namespace"], DEFAULT_NAMESPACE);
        }
    }
}

#[test]
fn leases_of_others_are_only_read_and_only_if_asked_for() {
    let asked = Install { follow_leases: true, ..Install::default() };
    let namespaced = Install { watched: vec!["a".into()], ..asked.clone() };
    for (install, kind) in [(asked, "ClusterRole"), (namespaced, "Role")] {
        let text = super::install(&install).unwrap();
        let named = |object: &&Value| object["metadata"]["name"] == "hotstandby-follow-leases";
        let objects = documents(&text);
        let role = objects.iter().filter(named).find(|object| object["kind"] == kind).unwrap();
        assert_eq!(role["rules"][0]["verbs"], serde_json::json!(["get", "list", "watch"]));
        assert_eq!(objects.iter().filter(named).count(), 2);
    }
    assert!(!super::install(&Install::default()).unwrap().contains("follow-leases"));
}

#[test]
fn output_is_the_same_each_time() {
    assert_eq!(files().unwrap(), files().unwrap());
}
