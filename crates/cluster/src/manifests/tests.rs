use super::*;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
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
                "ValidatingAdmissionPolicy" => round_trip::<ValidatingAdmissionPolicy>(&object),
                "ValidatingAdmissionPolicyBinding" => {
                    round_trip::<ValidatingAdmissionPolicyBinding>(&object);
                }
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
fn rights_for_some_groups_are_there_only_if_asked_for() {
    let plain = super::install(&Install::default()).unwrap();
    for grant in Grant::ALL {
        let asked = Install { with: BTreeSet::from([grant]), ..Install::default() };
        let namespaced = Install { watched: vec!["a".into(), "b".into()], ..asked.clone() };
        let name = format!("hotstandby-{}", grant.as_str());
        for (install, kind, count) in [(asked, "ClusterRole", 1), (namespaced, "Role", 2)] {
            let objects = documents(&super::install(&install).unwrap());
            let named = |object: &&Value| object["metadata"]["name"] == *name;
            let roles: Vec<_> =
                objects.iter().filter(named).filter(|object| object["kind"] == kind).collect();
            assert_eq!(roles.len(), count, "{name}");
            assert_eq!(roles[0]["rules"].as_array().unwrap().len(), grant.rights().len());
            let bindings = objects.iter().filter(named).filter(|object| object["kind"] != kind);
            for binding in bindings.clone() {
                assert_eq!(
                    binding["roleRef"],
                    serde_json::json!({
                        "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name,
                    })
                );
            }
            assert_eq!(bindings.count(), count);
        }
        assert!(!plain.contains(&name), "the default install has no such right");
        let file = files().unwrap().into_iter().find(|file| file.name.contains(grant.as_str())).unwrap();
        assert_eq!(kinds(&file.content), ["ClusterRole", "ClusterRoleBinding"]);
    }
}

fn policies(install: &Install) -> Vec<Value> {
    policies::objects(install)
        .into_iter()
        .filter(|object| object["kind"] == "ValidatingAdmissionPolicy")
        .collect()
}

#[test]
fn every_policy_passes_hotstandby_first_and_denies_by_a_binding_of_its_own() {
    let install = Install {
        namespace: "ha".into(),
        policy_users: vec!["o'brien".into(), r"corp\ci".into()],
        ..Install::default()
    };
    let writers =
        r"!(request.userInfo.username in ['system:serviceaccount:ha:hotstandby', 'o\'brien', 'corp\\ci'])";
    let objects = policies::objects(&install);
    for policy in policies(&install) {
        assert_eq!(policy["spec"]["matchConditions"][0]["expression"], writers);
        let bound = |object: &&Value| object["spec"]["policyName"] == policy["metadata"]["name"];
        let bindings: Vec<_> = objects.iter().filter(bound).collect();
        assert_eq!(bindings.len(), 1);
        assert_eq!(bindings[0]["spec"]["validationActions"], serde_json::json!(["Deny"]));
        // The server's limits.
        assert!(policy["spec"]["matchConditions"].as_array().unwrap().len() <= 64);
        for validation in policy["spec"]["validations"].as_array().unwrap() {
            let message = validation["message"].as_str().unwrap();
            assert!(message.len() < 1024 && !message.contains('\n'), "{message}");
        }
    }
}

/// A policy that reads objects of a kind fails for every pod of the cluster while that kind is not known: after a start of the API
/// server, or once the CRD is gone.
#[test]
fn only_what_needs_nothing_but_the_request_fails_closed() {
    for policy in policies(&Install::default()) {
        let reads = policy["spec"].get("paramKind").is_some();
        let expected = if reads { "Ignore" } else { "Fail" };
        assert_eq!(policy["spec"]["failurePolicy"], expected, "{}", policy["metadata"]["name"]);
    }
}

#[test]
fn policies_hold_where_hotstandby_works_and_seats_where_it_lives() {
    let two = Install { watched: vec!["a".into(), "b".into()], ..Install::default() };
    for (install, expected) in [(two, serde_json::json!(["a", "b"])), (Install::default(), Value::Null)] {
        for policy in policies(&install) {
            let found =
                &policy["spec"]["matchConstraints"]["namespaceSelector"]["matchExpressions"][0]["values"];
            let seats = policy["metadata"]["name"] == "hotstandby-seats";
            let expected = if seats { &serde_json::json!([DEFAULT_NAMESPACE]) } else { &expected };
            assert_eq!(found, expected);
        }
    }
}

#[test]
fn policies_come_only_if_asked_for() {
    assert!(!super::install(&Install::default()).unwrap().contains("AdmissionPolicy"));
    let asked = super::install(&Install { policies: true, ..Install::default() }).unwrap();
    assert_eq!(kinds(&asked).iter().filter(|kind| kind.starts_with("ValidatingAdmissionPolicy")).count(), 10);
}

#[test]
fn output_is_the_same_each_time() {
    assert_eq!(files().unwrap(), files().unwrap());
}
