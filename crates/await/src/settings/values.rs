//! From what was given to what is meant.

use super::given::{Given, Lookup, Source};
use super::table::{self, Row};
use super::{Check, Mode, Port, ServiceSettings, Settings, SettingsError};
use hotstandby_cluster::api::duration::Duration as DurationText;
use hotstandby_core::gatekeeper::{Config, DEFAULT_GRACE, DEFAULT_KILL_MARGIN, Timing, Traffic};
use std::net::IpAddr;
use std::time::Duration;

pub(super) fn settings(lookup: &Lookup<'_>) -> Result<Settings, SettingsError> {
    let mut warnings = Vec::new();
    let name = match lookup.text(&table::NAME) {
        Some(name) => name,
        // The old gatekeeper asked for it, and whoever relies on that error shall still get it.
        None if lookup.own(&table::LEASE_NAME).is_none() => return Err(SettingsError::Missing(&table::NAME)),
        None => lookup.required(&table::LEASE_NAME)?,
    };
    let lease_name = lookup.required(&table::LEASE_NAME)?;
    let lease_namespace = lookup.required(&table::LEASE_NAMESPACE)?;
    let identity = lookup.required(&table::IDENTITY)?;
    let service = service(lookup, &lease_namespace, &identity)?;
    let ready = ready(lookup, service.as_ref())?;
    let traffic = match (&service, &ready) {
        (None, _) => Traffic::None,
        (Some(_), None) => Traffic::BeforeStart,
        (Some(_), Some(_)) => Traffic::WhenReady,
    };
    Ok(Settings {
        name,
        lease_name,
        lease_namespace,
        identity,
        config: config(lookup, &mut warnings)?.with_traffic(traffic),
        status_address: lookup.get(&table::STATUS_ADDRESS).map(|given| address(&given)).transpose()?,
        service,
        ready,
        pod_uid: lookup.text(&table::POD_UID),
        container: lookup.text(&table::CONTAINER_NAME),
        kubeconfig: lookup.text(&table::KUBECONFIG).map(Into::into),
        warnings,
    })
}

fn bad(given: &Given, problem: impl Into<String>) -> SettingsError {
    SettingsError::Value {
        source_name: given.source.to_string(),
        text: given.text.clone(),
        problem: problem.into(),
    }
}

pub(super) fn truth(given: &Given) -> Result<bool, SettingsError> {
    match given.text.as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(bad(given, "give true or false")),
    }
}

fn config(lookup: &Lookup<'_>, warnings: &mut Vec<String>) -> Result<Config, SettingsError> {
    let mut sources = Vec::new();
    let mut take = |row: &Row, default: Duration| -> Result<Duration, SettingsError> {
        let given = lookup.get(row);
        let source =
            given.as_ref().map_or_else(|| "by default".to_owned(), |given| format!("from {}", given.source));
        sources.push(format!("{} {source}", row.flag));
        given.map_or(Ok(default), |given| duration(&given, default, warnings))
    };
    let timing = Timing {
        lease_duration: take(&table::LEASE_DURATION, Timing::DEFAULT.lease_duration)?,
        renew_deadline: take(&table::RENEW_DEADLINE, Timing::DEFAULT.renew_deadline)?,
        retry_period: take(&table::RETRY_PERIOD, Timing::DEFAULT.retry_period)?,
    };
    let grace = take(&table::TERM_GRACE, DEFAULT_GRACE)?;
    let checked = Config::new(timing, DEFAULT_KILL_MARGIN);
    let checked = checked.map_err(|error| SettingsError::Timing { error, sources: sources.join(", ") })?;
    Ok(checked.with_grace(grace))
}

/// A duration: with units in today's words, whole seconds under the old names.
fn duration(given: &Given, default: Duration, warnings: &mut Vec<String>) -> Result<Duration, SettingsError> {
    let Source::Old(variable) = given.source else {
        let parsed = DurationText(given.text.clone()).parse();
        return parsed.map_err(|_| bad(given, "give a duration such as 15s, 500ms or 1m30s"));
    };
    let Ok(seconds) = given.text.parse::<i64>() else {
        // As it has always been there; but now somebody is told.
        warnings
            .push(format!("{variable}={:?} is no whole number of seconds: {default:?} is used", given.text));
        return Ok(default);
    };
    let seconds = u64::try_from(seconds).map_err(|_| bad(given, "give a number of seconds above zero"))?;
    Ok(Duration::from_secs(seconds))
}

fn address(given: &Given) -> Result<(String, u16), SettingsError> {
    let problem = || bad(given, "give host:port or :port");
    let (host, port) = given.text.rsplit_once(':').ok_or_else(problem)?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    Ok((host.to_owned(), port.parse().map_err(|_| problem())?))
}

fn service(
    lookup: &Lookup<'_>,
    lease_namespace: &str,
    identity: &str,
) -> Result<Option<ServiceSettings>, SettingsError> {
    let Some(service) = lookup.get(&table::SERVICE) else { return Ok(None) };
    let needs = |row: &'static Row| {
        let missing = || SettingsError::MissingWith { with: service.source.to_string(), needs: row };
        lookup.get(row).ok_or_else(missing)
    };
    let address = needs(&table::POD_IP)?;
    let ports = needs(&table::SERVICE_PORTS)?;
    let mode = match lookup.get(&table::ENDPOINTS) {
        None => Mode::Auto,
        Some(given) => match given.text.as_str() {
            "auto" => Mode::Auto,
            "endpoints" => Mode::Endpoints,
            "slice" => Mode::Slice,
            _ => return Err(bad(&given, "give auto, endpoints or slice")),
        },
    };
    let pod = lookup.text(&table::POD_NAME).or_else(|| is_host_name(identity).then(|| identity.to_owned()));
    Ok(Some(ServiceSettings {
        service: service.text.clone(),
        namespace: lookup.text(&table::SERVICE_NAMESPACE).unwrap_or_else(|| lease_namespace.to_owned()),
        ports: read_ports(&ports)?,
        ip: ip(&address)?,
        node: lookup.text(&table::NODE_NAME),
        pod,
        mode,
    }))
}

/// In a pod of its own network the host's name is the pod's.
fn is_host_name(identity: &str) -> bool {
    nix::sys::utsname::uname().is_ok_and(|names| names.nodename() == identity)
}

fn ip(given: &Given) -> Result<IpAddr, SettingsError> {
    given.text.parse().map_err(|_| bad(given, "give an IP address"))
}

fn read_ports(given: &Given) -> Result<Vec<Port>, SettingsError> {
    if given.text.trim_start().starts_with('[') {
        return serde_json::from_str(&given.text)
            .map_err(|error| bad(given, format!("no JSON array of EndpointPort: {error}")));
    }
    // Under the old name nothing but JSON was ever taken.
    if matches!(given.source, Source::Old(_)) {
        return Err(bad(given, "give a JSON array of EndpointPort"));
    }
    given.text.split(',').map(|port| read_port(port).ok_or_else(|| bad_port(given))).collect()
}

fn bad_port(given: &Given) -> SettingsError {
    bad(given, "give name=port or name=port/UDP, with commas between several")
}

fn read_port(text: &str) -> Option<Port> {
    let (name, rest) = text.trim().split_once('=')?;
    let (port, protocol) = rest.split_once('/').unwrap_or((rest, "TCP"));
    let port: u16 = port.parse().ok().filter(|port| *port > 0)?;
    let known = ["TCP", "UDP", "SCTP"].contains(&protocol);
    known.then(|| Port {
        name: Some(name.to_owned()),
        port: i32::from(port),
        protocol: Some(protocol.to_owned()),
        app_protocol: None,
    })
}

fn ready(lookup: &Lookup<'_>, service: Option<&ServiceSettings>) -> Result<Option<Check>, SettingsError> {
    let (http, tcp) = (lookup.get(&table::READY_HTTP), lookup.get(&table::READY_TCP));
    if let (Some(http), Some(tcp)) = (&http, &tcp) {
        let (http, tcp) = (http.source.to_string(), tcp.source.to_string());
        return Err(SettingsError::Contradiction(
            http,
            tcp,
            "the command is ready by one of them; leave the other out",
        ));
    }
    let Some(given) = http.as_ref().or(tcp.as_ref()) else { return Ok(None) };
    let Some(service) = service else {
        return Err(SettingsError::MissingWith { with: given.source.to_string(), needs: &table::SERVICE });
    };
    let (port, path) = match (&http, given.text.split_once('/')) {
        (Some(_), Some((port, path))) => (port, Some(format!("/{path}"))),
        (Some(_), None) => (given.text.as_str(), Some("/".to_owned())),
        (None, _) => (given.text.as_str(), None),
    };
    let port = port.parse().ok().filter(|port| *port > 0);
    let port =
        port.ok_or_else(|| bad(given, if http.is_some() { "give PORT/PATH" } else { "give a port" }))?;
    Ok(Some(Check { ip: service.ip, port, path }))
}
