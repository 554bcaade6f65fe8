use super::*;
use std::collections::HashMap;

struct Case {
    role: Role,
    args: Vec<&'static str>,
    variables: HashMap<&'static str, &'static str>,
}

fn case(args: &[&'static str], variables: &[(&'static str, &'static str)]) -> Case {
    Case { role: Role::Keeper, args: args.to_vec(), variables: variables.iter().copied().collect() }
}

impl Case {
    fn with(mut self, variables: &[(&'static str, &'static str)]) -> Self {
        self.variables.extend(variables.iter().copied());
        self
    }

    fn without(mut self, variable: &str) -> Self {
        self.variables.remove(variable);
        self
    }

    fn read(&self) -> Result<Asked, SettingsError> {
        let args = self.args.iter().map(OsString::from).collect();
        read_with(self.role, args, &|name| self.variables.get(name).map(|value| (*value).to_owned()))
    }

    fn settings(&self) -> Settings {
        match self.read() {
            Ok(Asked::Elect(_, settings)) => *settings,
            other => panic!("no election: {other:?}"),
        }
    }

    fn error(&self) -> String {
        self.read().expect_err("must be refused").to_string()
    }
}

/// What the old gatekeeper's users have.
fn old() -> Case {
    Case {
        role: Role::OldName,
        ..case(
            &["my-server", "--flag"],
            &[
                ("K8S_AWAIT_ELECTION_ENABLED", "1"),
                ("K8S_AWAIT_ELECTION_NAME", "linstor"),
                ("K8S_AWAIT_ELECTION_LOCK_NAME", "linstor-lock"),
                ("K8S_AWAIT_ELECTION_LOCK_NAMESPACE", "storage"),
                ("K8S_AWAIT_ELECTION_IDENTITY", "linstor-0"),
            ],
        )
    }
}

fn old_with_service() -> Case {
    old().with(&[
        ("K8S_AWAIT_ELECTION_SERVICE_NAME", "linstor"),
        ("K8S_AWAIT_ELECTION_SERVICE_NAMESPACE", "storage"),
        ("K8S_AWAIT_ELECTION_SERVICE_PORTS_JSON", r#"[{"name":"api","port":3370}]"#),
        ("K8S_AWAIT_ELECTION_POD_IP", "10.0.0.7"),
        ("K8S_AWAIT_ELECTION_NODE_NAME", "node-a"),
    ])
}

/// The least in today's words.
fn own(more: &[&'static str]) -> Case {
    let mut args = vec!["--lease-name=db", "--lease-namespace", "shop", "--identity=db-0"];
    args.extend(more);
    args.extend(["--", "my-server"]);
    case(&args, &[])
}

#[test]
fn all_variables_of_the_old_gatekeeper_mean_what_they_meant() {
    let case = old_with_service().with(&[
        ("K8S_AWAIT_ELECTION_STATUS_ENDPOINT", ":9999"),
        ("K8S_AWAIT_ELECTION_LEASE_DURATION", "30"),
        ("K8S_AWAIT_ELECTION_RENEW_DEADLINE", "20"),
        ("K8S_AWAIT_ELECTION_RETRY_PERIOD", "5"),
    ]);
    let Ok(Asked::Elect(start, settings)) = case.read() else { panic!("no election") };
    assert_eq!((start.command, start.args), ("my-server".into(), vec!["--flag".into()]));
    assert_eq!(settings.name, "linstor");
    assert_eq!(
        (settings.lease_namespace.as_str(), settings.lease_name.as_str()),
        ("storage", "linstor-lock")
    );
    assert_eq!(settings.identity, "linstor-0");
    assert_eq!(settings.status_address, Some((String::new(), 9999)));
    let timing = settings.config.timing();
    let seconds =
        [timing.lease_duration, timing.renew_deadline, timing.retry_period].map(|part| part.as_secs());
    assert_eq!(seconds, [30, 20, 5]);
    let service = settings.service.unwrap();
    assert_eq!((service.service.as_str(), service.namespace.as_str()), ("linstor", "storage"));
    assert_eq!((service.ip.to_string().as_str(), service.node.as_deref()), ("10.0.0.7", Some("node-a")));
    assert_eq!(service.mode, Mode::Auto);
    assert_eq!((service.ports[0].name.as_deref(), service.ports[0].port), (Some("api"), 3370));
    assert_eq!(settings.warnings, [""; 0]);
}

#[test]
fn defaults_are_those_of_the_old_gatekeeper() {
    let timing = old().settings().config.timing();
    let seconds =
        [timing.lease_duration, timing.renew_deadline, timing.retry_period].map(|part| part.as_secs());
    assert_eq!(seconds, [15, 10, 2]);
    assert!(old().settings().service.is_none() && old().settings().status_address.is_none());
}

#[test]
fn unset_or_empty_switch_runs_the_command_at_once() {
    for case in
        [old().without("K8S_AWAIT_ELECTION_ENABLED"), old().with(&[("K8S_AWAIT_ELECTION_ENABLED", "")])]
    {
        let Ok(Asked::Direct(start, None)) = case.read() else { panic!("must run at once") };
        assert_eq!((start.command, start.args), ("my-server".into(), vec!["--flag".into()]));
    }
    // Even where everything else is wrong.
    let broken = case(&["my-server"], &[("K8S_AWAIT_ELECTION_LEASE_DURATION", "-1")]);
    assert!(matches!(broken.read(), Ok(Asked::Direct(_, Some(_)))), "and under our name somebody is told");
}

#[test]
fn any_text_switches_it_on_even_false() {
    assert!(matches!(old().with(&[("K8S_AWAIT_ELECTION_ENABLED", "false")]).read(), Ok(Asked::Elect(..))));
}

#[test]
fn missing_required_variable_is_named() {
    for variable in [
        "K8S_AWAIT_ELECTION_NAME",
        "K8S_AWAIT_ELECTION_LOCK_NAME",
        "K8S_AWAIT_ELECTION_LOCK_NAMESPACE",
        "K8S_AWAIT_ELECTION_IDENTITY",
    ] {
        let error = old().without(variable).error();
        assert!(error.contains(variable), "{error}");
    }
    for variable in ["K8S_AWAIT_ELECTION_SERVICE_PORTS_JSON", "K8S_AWAIT_ELECTION_POD_IP"] {
        let error = old_with_service().without(variable).error();
        assert!(error.contains(variable) && error.contains("K8S_AWAIT_ELECTION_SERVICE_NAME"), "{error}");
    }
}

#[test]
fn no_command_is_an_error_enabled_or_not() {
    for role in [Role::Keeper, Role::OldName] {
        assert!(Case { role, ..case(&[], &[]) }.error().contains("no command"));
        assert!(Case { role, args: vec![], ..old() }.error().contains("no command"));
    }
}

#[test]
fn old_name_takes_no_flags_from_the_command() {
    let case = Case { args: vec!["--version", "x"], ..old() };
    let Ok(Asked::Elect(start, _)) = case.read() else { panic!("no election") };
    assert_eq!(start.command, "--version");
    assert_eq!(start.whole_line, ["--", "--version", "x"]);
}

#[test]
fn elector_reads_the_same_settings_again() {
    for first in [old_with_service(), own(&["--lease-duration", "20s", "--status-address=127.0.0.1:80"])] {
        let Ok(Asked::Elect(start, settings)) = first.read() else { panic!("no election") };
        let line: Vec<String> =
            start.whole_line.iter().map(|word| word.to_str().unwrap().to_owned()).collect();
        let again = read_with(Role::Elector, line.iter().map(OsString::from).collect(), &|name| {
            first.variables.get(name).map(|value| (*value).to_owned())
        });
        let Ok(Asked::Elect(start_again, settings_again)) = again else { panic!("no election") };
        assert_eq!(start, start_again);
        assert_eq!(format!("{settings:?}"), format!("{settings_again:?}"));
    }
}

#[test]
fn number_that_is_none_is_a_warning_under_the_old_name_and_an_error_under_ours() {
    let settings = old().with(&[("K8S_AWAIT_ELECTION_LEASE_DURATION", "15s")]).settings();
    assert_eq!(settings.config.timing().lease_duration.as_secs(), 15);
    let [warning] = settings.warnings.as_slice() else { panic!("{:?}", settings.warnings) };
    assert!(warning.contains("K8S_AWAIT_ELECTION_LEASE_DURATION") && warning.contains("15s"), "{warning}");
    for bad in ["15", "soon", "-5s", "1.5s"] {
        let error = old().with(&[("HOTSTANDBY_AWAIT_LEASE_DURATION", bad)]).error();
        assert!(error.contains("HOTSTANDBY_AWAIT_LEASE_DURATION") && error.contains(bad), "{error}");
    }
}

#[test]
fn flag_goes_before_own_variable_and_that_before_the_old_one() {
    let lease = |case: Case| case.settings().lease_name;
    let variables = [("HOTSTANDBY_AWAIT_LEASE_NAME", "own"), ("K8S_AWAIT_ELECTION_LOCK_NAME", "old")];
    assert_eq!(lease(own(&[]).with(&variables)), "db");
    assert_eq!(lease(old().with(&variables)), "own");
    assert_eq!(
        lease(old().with(&variables).with(&[("HOTSTANDBY_AWAIT_LEASE_NAME", "")])),
        "old",
        "empty is not given"
    );
}

#[test]
fn own_words_do_the_same() {
    let settings = own(&[
        "--lease-duration=4s",
        "--renew-deadline=1s500ms",
        "--retry-period=300ms",
        "--status-address=[::1]:8080",
        "--service=db",
        "--service-ports=pg=5432,metrics=9187/UDP",
        "--pod-ip=fd00::7",
        "--endpoints=slice",
        "--ready-http=8080/health?deep=1",
    ])
    .settings();
    assert_eq!(settings.name, "db");
    assert_eq!(settings.config.timing().renew_deadline, Duration::from_millis(1500));
    assert_eq!(settings.status_address, Some(("::1".to_owned(), 8080)));
    let service = settings.service.unwrap();
    assert_eq!(service.namespace, "shop", "the Lease's, unless given");
    assert_eq!(service.mode, Mode::Slice);
    let ports: Vec<_> = service
        .ports
        .iter()
        .map(|port| (port.name.as_deref().unwrap(), port.port, port.protocol.as_deref().unwrap()))
        .collect();
    assert_eq!(ports, [("pg", 5432, "TCP"), ("metrics", 9187, "UDP")]);
    let check = settings.ready.unwrap();
    assert_eq!((check.port, check.path.as_deref()), (8080, Some("/health?deep=1")));
}

#[test]
fn contradictions_name_both_sides() {
    let error = own(&["--renew-deadline=20s"]).error();
    for part in
        ["renew deadline 20s", "lease duration 15s", "from --renew-deadline", "lease-duration by default"]
    {
        assert!(error.contains(part), "{part} is missing in: {error}");
    }
    let with_service = ["--service=db", "--service-ports=a=1", "--pod-ip=10.0.0.1"];
    let both = [&with_service[..], &["--ready-http=80/", "--ready-tcp=80"]].concat();
    let error = own(&both).error();
    assert!(error.contains("--ready-http") && error.contains("--ready-tcp"), "{error}");
    let error = own(&["--ready-tcp=80"]).error();
    assert!(error.contains("--ready-tcp") && error.contains("--service"), "{error}");
    let error = old().with(&[("K8S_AWAIT_ELECTION_LEASE_DURATION", "5")]).error();
    assert!(
        error.contains("K8S_AWAIT_ELECTION_LEASE_DURATION") && error.contains("renew deadline 10s"),
        "{error}"
    );
}

#[test]
fn values_that_mean_nothing_are_refused_by_name() {
    for (flag, part) in [
        ("--enabled=yes", "true or false"),
        ("--status-address=8080", ":port"),
        ("--retry-period=2", "such as 15s"),
        ("--endpoints=all", "slice"),
        ("--retry=2s", "unknown flag --retry"),
    ] {
        let mut args = vec!["--service=db", "--service-ports=a=1", "--pod-ip=10.0.0.1"];
        args.push(flag);
        let error = own(&args).error();
        assert!(error.contains(part), "{error}");
    }
    for ports in ["5432", "a=0", "a=1/TLS", "a=70000", "[{\"port\":\"x\"}]"] {
        let case =
            own(&["--service=db", "--pod-ip=10.0.0.1"]).with(&[("HOTSTANDBY_AWAIT_SERVICE_PORTS", ports)]);
        assert!(case.error().contains("HOTSTANDBY_AWAIT_SERVICE_PORTS"), "{ports}");
    }
    assert!(own(&["--identity=b"]).error().contains("twice"));
    assert!(case(&["--lease-name"], &[]).error().contains("needs a value"));
}

#[test]
fn switched_off_by_our_word_wins_over_everything() {
    let case = own(&["--enabled=false"]).with(&[("K8S_AWAIT_ELECTION_ENABLED", "1")]);
    assert!(matches!(case.read(), Ok(Asked::Direct(..))));
}

#[test]
fn help_names_every_way_to_give_every_setting() {
    let Ok(Asked::Print(text)) = case(&["--help"], &[]).read() else { panic!("no help") };
    for row in table::ROWS {
        assert!(text.contains(&format!("--{}", row.flag)) && text.contains(&row.variable()), "{}", row.flag);
        assert!(row.old.is_none_or(|old| text.contains(old)), "{}", row.flag);
    }
    assert_eq!(table::ROWS.iter().filter(|row| row.old.is_some()).count(), 14);
}

#[test]
fn commands_own_flags_stay_the_commands() {
    let Ok(Asked::Elect(start, _)) = case(
        &["--lease-name=db", "--lease-namespace=shop", "--identity=a", "my-server", "--help", "--", "-x"],
        &[],
    )
    .read() else {
        panic!("no election")
    };
    assert_eq!(start.command, "my-server");
    assert_eq!(start.args, ["--help", "--", "-x"]);
}
