//! Checks of Services, EndpointSlices and Endpoints.

use super::names::{key_errors, label_error, label_errors, node_error};
use crate::failure::FieldError;
use crate::json::{at, items, text};
use crate::kinds::Kind;
use serde_json::{Value, json};
use std::net::IpAddr;

pub(super) fn slice(slice: &Value, errors: &mut Vec<FieldError>) {
    let known = ["FQDN", "IPv4", "IPv6"].map(str::to_owned);
    let family = text(slice, &["addressType"]).unwrap_or_default();
    if family.is_empty() {
        errors.push(FieldError::required("addressType", ""));
    } else if !known.iter().any(|one| one == family) {
        errors.push(FieldError::not_supported("addressType", &json!(family), &known));
    }
    slice_ports(items(slice, &["ports"]), errors);
    let endpoints = items(slice, &["endpoints"]);
    if endpoints.len() > 1000 {
        errors.push(FieldError::too_many("endpoints", endpoints.len(), 1000));
        return;
    }
    for (index, endpoint) in endpoints.iter().enumerate() {
        slice_endpoint(endpoint, family, &format!("endpoints[{index}]"), errors);
    }
}

fn slice_endpoint(endpoint: &Value, family: &str, place: &str, errors: &mut Vec<FieldError>) {
    let path = format!("{place}.addresses");
    let addresses = items(endpoint, &["addresses"]);
    if addresses.is_empty() {
        errors.push(FieldError::required(&path, "must contain at least 1 address"));
    } else if addresses.len() > 100 {
        errors.push(FieldError::too_many(&path, addresses.len(), 100));
    }
    for (index, address) in addresses.iter().enumerate() {
        let here = format!("{path}[{index}]");
        let ip = address.as_str().and_then(ip_of);
        match (family, ip) {
            ("IPv4" | "IPv6", None) => errors.push(FieldError::invalid(here, address, NO_IP)),
            ("IPv6", Some(IpAddr::V6(ip))) if ip.to_ipv4_mapped().is_some() => {
                errors.push(FieldError::invalid(here, address, "must not be an IPv4-mapped IPv6 address"));
            }
            ("IPv4", Some(ip)) if !ip.is_ipv4() => {
                errors.push(FieldError::invalid(&path, address, "must be an IPv4 address"));
            }
            ("IPv6", Some(ip)) if !ip.is_ipv6() => {
                errors.push(FieldError::invalid(&path, address, "must be an IPv6 address"));
            }
            _ => {}
        }
    }
    for (field, wrong) in [("nodeName", node_error as fn(&str) -> _), ("hostname", label_error)] {
        if let Some(why) = at(endpoint, &[field]).as_str().and_then(wrong) {
            errors.push(FieldError::invalid(format!("{place}.{field}"), at(endpoint, &[field]), why));
        }
    }
}

pub(super) const NO_IP: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";

/// An address; zeros at the beginning of a part are borne for old times' sake.
pub(super) fn ip_of(text: &str) -> Option<IpAddr> {
    let without = |part: &str| {
        let rest = part.trim_start_matches('0');
        if rest.is_empty() && !part.is_empty() { "0".to_owned() } else { rest.to_owned() }
    };
    text.parse().ok().or_else(|| text.split('.').map(without).collect::<Vec<_>>().join(".").parse().ok())
}

/// A slice's ports are not checked for their numbers.
fn slice_ports(ports: &[Value], errors: &mut Vec<FieldError>) {
    let mut names = Vec::new();
    for (index, port) in ports.iter().enumerate() {
        let path = format!("ports[{index}]");
        let name = text(port, &["name"]).unwrap_or_default();
        if let Some(why) = label_error(name).filter(|_| !name.is_empty()) {
            errors.push(FieldError::invalid(format!("{path}.name"), &json!(name), why));
        }
        if names.contains(&name) {
            errors.push(FieldError::duplicate(format!("{path}.name"), &json!(name)));
        }
        names.push(name);
        protocol(port, &path, errors);
        if let Some(one) = text(port, &["appProtocol"]) {
            let wrong = key_errors(one);
            let place = format!("{path}.appProtocol");
            errors.extend(wrong.iter().map(|why| FieldError::invalid(&place, &json!(one), why)));
        }
    }
}

fn protocol(port: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let known = ["SCTP", "TCP", "UDP"].map(str::to_owned);
    let protocol = at(port, &["protocol"]);
    if !known.iter().any(|one| protocol == one.as_str()) {
        errors.push(FieldError::not_supported(format!("{path}.protocol"), protocol, &known));
    }
}

pub(super) fn port_number(number: &Value, path: String, errors: &mut Vec<FieldError>) {
    if !number.as_i64().is_some_and(|number| (1..=65535).contains(&number)) {
        let number = if number.is_null() { json!(0) } else { number.clone() };
        errors.push(FieldError::invalid(path, &number, "must be between 1 and 65535, inclusive"));
    }
}

pub(super) fn endpoints(endpoints: &Value, errors: &mut Vec<FieldError>) {
    for (index, subset) in items(endpoints, &["subsets"]).iter().enumerate() {
        for list in ["addresses", "notReadyAddresses"] {
            for (inner, address) in items(subset, &[list]).iter().enumerate() {
                let ip = at(address, &["ip"]);
                if ip.as_str().and_then(ip_of).is_none() {
                    let path = format!("subsets[{index}].{list}[{inner}].ip");
                    errors.push(FieldError::invalid(&path, ip, NO_IP));
                    errors.push(FieldError::invalid(&path, ip, "must be a valid IP address"));
                }
            }
        }
        for (inner, port) in items(subset, &["ports"]).iter().enumerate() {
            let path = format!("subsets[{index}].ports[{inner}]");
            port_number(at(port, &["port"]), format!("{path}.port"), errors);
            protocol(port, &path, errors);
        }
    }
}

/// What no slice and no endpoints may name: a connection to it would go anywhere but to a pod.
pub(crate) fn special_addresses(kind: &Kind, object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut check = |path: String, address: &Value| {
        let ip = address.as_str().and_then(|text| text.parse::<IpAddr>().ok());
        if let Some(why) = ip.and_then(special) {
            let why = if why == UNSPECIFIED {
                format!("{why} ({})", address.as_str().unwrap_or_default())
            } else {
                why.to_owned()
            };
            errors.push(FieldError::invalid(path, address, &why));
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

const UNSPECIFIED: &str = "may not be unspecified";

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
        Some(UNSPECIFIED)
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

pub(super) fn service(service: &Value, errors: &mut Vec<FieldError>) {
    let kind = text(service, &["spec", "type"]).unwrap_or_default();
    let known = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"].map(str::to_owned);
    let listed = items(service, &["spec", "ports"]);
    let address = text(service, &["spec", "clusterIP"]);
    if listed.is_empty() && address != Some("None") && kind != "ExternalName" {
        errors.push(FieldError::required("spec.ports", ""));
    }
    if kind == "ExternalName" && text(service, &["spec", "externalName"]).is_none() {
        errors.push(FieldError::required("spec.externalName", ""));
    }
    let mut names = Vec::new();
    for (index, port) in listed.iter().enumerate() {
        service_port(port, &format!("spec.ports[{index}]"), listed.len() > 1, &mut names, errors);
    }
    errors.extend(label_errors(at(service, &["spec", "selector"]), "spec.selector"));
    let affinity = at(service, &["spec", "sessionAffinity"]);
    if affinity != "None" && affinity != "ClientIP" {
        let known = ["ClientIP", "None"].map(str::to_owned);
        errors.push(FieldError::not_supported("spec.sessionAffinity", affinity, &known));
    }
    if let Some(address) = address.filter(|address| *address != "None" && ip_of(address).is_none()) {
        errors.push(FieldError::invalid("spec.clusterIPs[0]", &json!(address), NO_IP));
    }
    if !known.iter().any(|one| one == kind) {
        errors.push(FieldError::not_supported("spec.type", &json!(kind), &known));
    }
    for (index, port) in listed.iter().enumerate() {
        let same = |other: &Value| {
            ["port", "protocol"].iter().all(|field| at(other, &[field]) == at(port, &[field]))
        };
        if listed.iter().take(index).any(same) {
            // As the Go type prints.
            let shown = format!(
                "{{\"Name\":\"\",\"Protocol\":{},\"AppProtocol\":null,\"Port\":{},\"TargetPort\":0,\"NodePort\":0}}",
                at(port, &["protocol"]),
                at(port, &["port"])
            );
            errors.push(FieldError::duplicate_of(format!("spec.ports[{index}]"), &shown));
        }
    }
}

fn service_port<'a>(
    port: &'a Value,
    path: &str,
    need_name: bool,
    names: &mut Vec<&'a str>,
    errors: &mut Vec<FieldError>,
) {
    let name = text(port, &["name"]).unwrap_or_default();
    let place = format!("{path}.name");
    if name.is_empty() {
        if need_name {
            errors.push(FieldError::required(place, ""));
        }
    } else {
        errors.extend(label_error(name).map(|why| FieldError::invalid(&place, &json!(name), why)));
        if names.contains(&name) {
            errors.push(FieldError::duplicate(place, &json!(name)));
        }
        names.push(name);
    }
    port_number(at(port, &["port"]), format!("{path}.port"), errors);
    protocol(port, path, errors);
    let target = at(port, &["targetPort"]);
    let place = format!("{path}.targetPort");
    match target.as_str() {
        Some(name) => {
            errors.extend(port_name_errors(name).iter().map(|why| FieldError::invalid(&place, target, why)));
        }
        None => port_number(target, place, errors),
    }
}

/// What is wrong with the name of a port.
fn port_name_errors(name: &str) -> Vec<&'static str> {
    let mut wrong = Vec::new();
    if name.len() > 15 {
        wrong.push("must be no more than 15 characters");
    }
    if !name.chars().all(|one| one.is_ascii_lowercase() || one.is_ascii_digit() || one == '-') {
        wrong.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
    }
    if !name.chars().any(|one| one.is_ascii_lowercase()) {
        wrong.push("must contain at least one letter (a-z)");
    }
    wrong
}
