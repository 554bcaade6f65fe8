//! Network policies that keep hotstandby's probes from the members.

use super::group::{number_in, views};
use super::traffic::list;
use super::{Finding, Known, Severity, Snapshot, known};
use crate::api::selector::MatchExpression;
use crate::api::{LabelSelector, Selector};
use crate::manifests::{DEFAULT_NAMESPACE, NAME};
use crate::objects::{name_of, namespace_of};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The label that every namespace has.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// Members that a policy shuts off from hotstandby.
pub(super) fn check(snapshot: &Snapshot) -> Known<Vec<Finding>> {
    let policies = known(&snapshot.policies)?;
    let prober = Prober::of(snapshot);
    let mut findings = Vec::new();
    for view in views(snapshot)? {
        let Some(port) = view.probe_port() else { continue };
        let shut: Vec<_> = view
            .members
            .iter()
            .filter(|pod| {
                let on = applying(policies, pod);
                let number = number_in(pod, &port);
                !on.is_empty()
                    && number.is_some_and(|number| !on.iter().any(|policy| prober.may(policy, pod, number)))
            })
            .collect();
        let Some(first) = shut.first() else { continue };
        let by: Vec<_> = applying(policies, first).iter().map(|policy| name_of(&policy.metadata)).collect();
        let pods: Vec<_> = shut.iter().map(|pod| name_of(&pod.metadata)).collect();
        let answers = view.is_armed();
        let note = if answers {
            "; it was answered nevertheless: the network plugin does not enforce policies, or this one is new"
        } else {
            ""
        };
        findings.push(Finding {
            id: "ProbeBlockedByPolicy",
            severity: if answers { Severity::Warning } else { Severity::Error },
            object: view.at.clone(),
            what: format!(
                "the NetworkPolicies on {} ({}) allow nobody from namespace {} on the probe's port{note}",
                list(&pods),
                list(&by),
                prober.namespace
            ),
            why: "A pod that any ingress policy selects takes only what a policy allows; hotstandby's probes time out, and it \
                  cannot tell a dead pod from one it may not reach.",
            remedy: format!(
                "allow it: ingress: [{{from: [{{namespaceSelector: {{matchLabels: {{{NAMESPACE_NAME}: {}}}}}}}], ports: [{{port: \
                 {}}}]}}]",
                prober.namespace,
                port_text(&port)
            ),
        });
    }
    Ok(findings)
}

fn port_text(port: &crate::api::port::Port) -> String {
    match port {
        crate::api::port::Port::Number(number) => number.to_string(),
        crate::api::port::Port::Name(name) => name.clone(),
    }
}

/// The ingress policies that select a pod. Pods in the node's network are beyond them.
fn applying<'a>(policies: &'a [NetworkPolicy], pod: &Pod) -> Vec<&'a NetworkPolicy> {
    if pod.spec.as_ref().and_then(|spec| spec.host_network) == Some(true) {
        return Vec::new();
    }
    let here = policies.iter().filter(|policy| policy.metadata.namespace == pod.metadata.namespace);
    here.filter(|policy| {
        policy.spec.as_ref().is_some_and(|spec| {
            // Every policy is one for ingress unless it says otherwise.
            let ingress =
                spec.policy_types.as_ref().is_none_or(|types| types.iter().any(|one| one == "Ingress"));
            let all = meta::LabelSelector::default();
            ingress && selects(spec.pod_selector.as_ref().unwrap_or(&all), pod.metadata.labels.as_ref())
        })
    })
    .collect()
}

/// hotstandby's replicas as policies see them.
struct Prober {
    namespace: String,
    namespace_labels: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
    ips: Vec<IpAddr>,
}

impl Prober {
    /// From what is installed; where that is not known, as the install YAML makes it.
    fn of(snapshot: &Snapshot) -> Self {
        let replicas = snapshot.replicas.as_deref().unwrap_or_default();
        let namespace =
            replicas.first().map_or(DEFAULT_NAMESPACE, |pod| namespace_of(&pod.metadata)).to_owned();
        let named = BTreeMap::from([(NAMESPACE_NAME.to_owned(), namespace.clone())]);
        let namespaces = snapshot.namespaces.as_deref().unwrap_or_default();
        let mut namespace_labels = namespaces
            .iter()
            .find(|one| name_of(&one.metadata) == namespace)
            .and_then(|one| one.metadata.labels.clone())
            .unwrap_or_default();
        namespace_labels.extend(named);
        let made = BTreeMap::from([
            ("app.kubernetes.io/name".to_owned(), NAME.to_owned()),
            ("app.kubernetes.io/component".to_owned(), "controller".to_owned()),
            ("app.kubernetes.io/part-of".to_owned(), NAME.to_owned()),
        ]);
        let labels = replicas.first().and_then(|pod| pod.metadata.labels.clone()).unwrap_or(made);
        let ips =
            replicas.iter().filter_map(|pod| pod.status.as_ref()?.pod_ip.as_deref()?.parse().ok()).collect();
        Self { namespace, namespace_labels, labels, ips }
    }

    /// Whether a policy lets it reach this port of a pod.
    fn may(&self, policy: &NetworkPolicy, pod: &Pod, port: i64) -> bool {
        let rules = policy.spec.iter().flat_map(|spec| spec.ingress.iter().flatten());
        let here = policy.metadata.namespace.as_deref() == Some(&self.namespace);
        rules.into_iter().any(|rule| self.is_from(rule, here) && is_on(rule, pod, port))
    }

    fn is_from(&self, rule: &NetworkPolicyIngressRule, here: bool) -> bool {
        let from = rule.from.as_deref().unwrap_or_default();
        from.is_empty() || from.iter().any(|peer| self.is(peer, here))
    }

    fn is(&self, peer: &NetworkPolicyPeer, here: bool) -> bool {
        if let Some(block) = &peer.ip_block {
            return !self.ips.is_empty() && self.ips.iter().all(|ip| contains(block, *ip));
        }
        let in_namespace = match &peer.namespace_selector {
            Some(selector) => selects(selector, Some(&self.namespace_labels)),
            None => here,
        };
        in_namespace
            && peer.pod_selector.as_ref().is_none_or(|selector| selects(selector, Some(&self.labels)))
    }
}

fn is_on(rule: &NetworkPolicyIngressRule, pod: &Pod, port: i64) -> bool {
    let ports = rule.ports.as_deref().unwrap_or_default();
    ports.is_empty() || ports.iter().any(|one| covers(one, pod, port))
}

fn covers(allowed: &NetworkPolicyPort, pod: &Pod, port: i64) -> bool {
    if allowed.protocol.as_deref().unwrap_or("TCP") != "TCP" {
        return false;
    }
    match (&allowed.port, allowed.end_port) {
        (None, _) => true,
        (Some(IntOrString::Int(first)), Some(last)) => (i64::from(*first)..=i64::from(last)).contains(&port),
        (Some(IntOrString::Int(one)), None) => i64::from(*one) == port,
        (Some(IntOrString::String(name)), _) => {
            number_in(pod, &crate::api::port::Port::Name(name.clone())) == Some(port)
        }
    }
}

/// Whether a selector of Kubernetes picks these labels; an empty one picks all.
fn selects(selector: &meta::LabelSelector, labels: Option<&BTreeMap<String, String>>) -> bool {
    let expressions = selector.match_expressions.iter().flatten().map(|one| MatchExpression {
        key: one.key.clone(),
        operator: one.operator.clone(),
        values: one.values.clone().unwrap_or_default(),
    });
    let own = LabelSelector {
        match_labels: selector.match_labels.clone().unwrap_or_default(),
        match_expressions: expressions.collect(),
    };
    if own.match_labels.is_empty() && own.match_expressions.is_empty() {
        return true;
    }
    let empty = BTreeMap::new();
    Selector::new(&own, "selector").is_ok_and(|selector| selector.matches(labels.unwrap_or(&empty)))
}

fn contains(block: &IPBlock, ip: IpAddr) -> bool {
    within(&block.cidr, ip) && !block.except.iter().flatten().any(|except| within(except, ip))
}

/// Whether an address is in a network, written `10.0.0.0/8`.
fn within(cidr: &str, ip: IpAddr) -> bool {
    let Some((network, length)) = cidr.split_once('/') else { return false };
    let (Ok(network), Ok(length)) = (network.parse::<IpAddr>(), length.parse::<u32>()) else { return false };
    let (network, address, size) = match (network, ip) {
        (IpAddr::V4(network), IpAddr::V4(ip)) => {
            (u128::from(network.to_bits()), u128::from(ip.to_bits()), 32)
        }
        (IpAddr::V6(network), IpAddr::V6(ip)) => (network.to_bits(), ip.to_bits(), 128),
        _ => return false,
    };
    let Some(shift) = u32::checked_sub(size, length) else { return false };
    // A shift by all bits is none at all: everything is within /0.
    network.checked_shr(shift).unwrap_or(0) == address.checked_shr(shift).unwrap_or(0)
}
