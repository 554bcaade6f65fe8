//! Where system D looks for health: in the toggle's own text where that is at hand, else in the pods' own probes.

use super::{HttpPlan, old};
use crate::objects::{Objects, Workload};
use k8s_openapi::api::core::v1::{Container, HTTPGetAction, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// What to ask of these pods; `None`: nothing says it.
pub(super) fn probe(objects: &Objects, workloads: &[&Workload], namespace: &str) -> Option<HttpPlan> {
    from_toggle(objects, workloads, namespace).or_else(|| from_pods(workloads))
}

/// From arguments, environment and `ConfigMaps` of the program that patches pods.
fn from_toggle(objects: &Objects, members: &[&Workload], namespace: &str) -> Option<HttpPlan> {
    let toggles = old::patchers(objects, namespace)
        .into_iter()
        .filter(|one| members.iter().all(|member| member.at != one.at));
    let own = toggles.flat_map(|workload| {
        let texts: Vec<_> = workload.containers().flat_map(texts).collect();
        texts.into_iter().map(|text| (workload.at.to_string(), text))
    });
    let here = objects.config_maps.iter().filter(|map| map.metadata.namespace.as_deref() == Some(namespace));
    let maps = here.flat_map(|map| {
        let name = map.metadata.name.as_deref().unwrap_or_default();
        map.data.iter().flatten().map(move |(_, text)| (format!("ConfigMap {name}"), text.clone()))
    });
    let found: Vec<_> = own
        .chain(maps)
        .flat_map(|(from, text)| urls(&text).into_iter().map(move |url| (from.clone(), url)))
        .collect();
    let (from, url) =
        found.iter().find(|(_, url)| url.path.contains("health")).or(match found.as_slice() {
            [one] => Some(one),
            _ => None,
        })?;
    Some(HttpPlan {
        path: url.path.clone(),
        port: url.port.clone(),
        tls: url.tls,
        // The toggle takes nothing else for healthy; the kubelet, which asks below, takes 200 to 399.
        expected_status: Some(200),
        from: format!("the URL in {from}"),
    })
}

fn texts(container: &Container) -> Vec<String> {
    let words = container.command.iter().flatten().chain(container.args.iter().flatten()).cloned();
    let values = container.env.iter().flatten().filter_map(|var| var.value.clone());
    words.chain(values).collect()
}

/// A URL whose host is written by a program, such as `http://$POD_IP:8080/health`.
#[derive(Debug, PartialEq, Eq)]
struct Url {
    tls: bool,
    port: String,
    path: String,
}

/// The URLs of a text that have a port and a path, the API server's aside.
fn urls(text: &str) -> Vec<Url> {
    let mut found = Vec::new();
    for (scheme, tls) in [("http://", false), ("https://", true)] {
        for (at, _) in text.match_indices(scheme) {
            let rest = text.get(at + scheme.len()..).unwrap_or_default();
            let end = rest.find(|c: char| c.is_whitespace() || "\"'`<>|;)".contains(c)).unwrap_or(rest.len());
            found.extend(rest.get(..end).and_then(|rest| url(rest, tls)));
        }
    }
    found
}

fn url(rest: &str, tls: bool) -> Option<Url> {
    let (host, path) = rest.split_once('/')?;
    let (host, port) = host.rsplit_once(':')?;
    let number: u16 = port.parse().ok()?;
    let path = format!("/{path}");
    let plain = path.chars().all(|c| c.is_ascii_graphic() && !"${}".contains(c));
    let api_server = host.to_ascii_lowercase().contains("kubernetes");
    (number > 0 && plain && !api_server && !host.is_empty()).then(|| Url {
        tls,
        port: number.to_string(),
        path,
    })
}

/// From the pods' own probes: they ask the same question, since whoever wrote them had one in mind.
fn from_pods(workloads: &[&Workload]) -> Option<HttpPlan> {
    let containers: Vec<_> = workloads.iter().flat_map(|workload| workload.containers()).collect();
    let of = |name: &str, pick: fn(&Container) -> Option<&Probe>| {
        let mut all = containers.iter().filter_map(|container| {
            let http = pick(container)?.http_get.as_ref()?;
            Some(plan(http, format!("the {name} of container {}", container.name)))
        });
        let first = all.next();
        // Two that differ are two questions.
        first.filter(|first| all.all(|other| (&other.path, &other.port) == (&first.path, &first.port)))
    };
    of("readinessProbe", |container| container.readiness_probe.as_ref())
        .or_else(|| of("livenessProbe", |container| container.liveness_probe.as_ref()))
}

fn plan(http: &HTTPGetAction, from: String) -> HttpPlan {
    let port = match &http.port {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(name) => name.clone(),
    };
    let path = http.path.clone().filter(|path| !path.is_empty()).unwrap_or_else(|| "/".to_owned());
    let tls = http.scheme.as_deref() == Some("HTTPS");
    HttpPlan { path, port, tls, expected_status: None, from }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_found_in_scripts() {
        let script = "while true; do code=$(curl -s -o /dev/null -w '%{http_code}' \"http://${POD}:9000/live/health\"); \
                      curl https://kubernetes.default:443/api; wget http://$IP:80; sleep 10; done";
        let all = urls(script);
        assert_eq!(all, [Url { tls: false, port: "9000".into(), path: "/live/health".into() }]);
        assert_eq!(urls("https://POD:8443/h"), [Url { tls: true, port: "8443".into(), path: "/h".into() }]);
        assert!(urls("http://x/health http://:80/h http://a:b/c").is_empty());
    }
}
