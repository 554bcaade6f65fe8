use super::*;
use crate::cli::{Cli, Command, parse};
use std::ffi::OsString;

fn flags(args: &[&str]) -> ControllerFlags {
    let args = ["hotstandby", "controller"].iter().chain(args).map(OsString::from);
    let Ok(Cli { command: Command::Controller(flags), .. }) = parse(args) else { panic!("no controller") };
    // What the test's own environment says must not count.
    let mut flags = *flags;
    flags.log_level = if flags.log_level.is_empty() { "info".into() } else { flags.log_level };
    flags
}

fn config(args: &[&str]) -> Result<ControllerConfig, CliError> {
    flags(args).config_on(&KubeFlags::default(), || Some("host".into()))
}

#[test]
fn defaults_stand_for_a_lone_replica_outside_a_cluster() {
    let config = config(&[]).unwrap();
    assert_eq!(config.controller_name, "hotstandby.dev/controller");
    assert_eq!(config.seat_namespace, "hotstandby-system");
    assert_eq!(config.identity, "host");
    assert_eq!(config.peers, Peers::Fixed(vec![]));
    assert_eq!(config.admin_address.to_string(), "0.0.0.0:8080");
    assert!(config.namespaces.is_empty() && config.node.is_none());
}

#[test]
fn in_a_pod_the_peers_are_pods() {
    let config = config(&["--pod-namespace=hs", "--identity=a", "--node=n1"]).unwrap();
    assert_eq!(config.seat_namespace, "hs");
    assert_eq!(config.node.as_deref(), Some("n1"));
    let expected = Peers::Pods { namespace: "hs".into(), selector: PEER_SELECTOR.into() };
    assert_eq!(config.peers, expected);
}

#[test]
fn the_own_entry_among_the_peers_is_left_out() {
    let config = config(&["--identity=a", "--peer=a=10.0.0.1:8080", "--peer=b=[fd00::2]:8080@n2"]).unwrap();
    let other = Peer { name: "b".into(), host: "fd00::2".into(), port: 8080, node: Some("n2".into()) };
    assert_eq!(config.peers, Peers::Fixed(vec![other]));
}

#[test]
fn namespaces_are_each_taken_once_wherever_they_stand() {
    let before = KubeFlags { namespace: Some("c".into()), ..KubeFlags::default() };
    let config = flags(&["--namespace=b", "-n", "a", "--namespace=b"])
        .config_on(&before, || Some("h".into()))
        .unwrap();
    assert_eq!(config.namespaces, ["a", "b", "c"]);
}

#[test]
fn flags_that_do_not_go_together_are_both_named() {
    let error = config(&["--peer=b=h:1", "--peer-selector=app=x"]).unwrap_err();
    assert_eq!(error.code(), 2);
    assert!(error.to_string().contains("--peer and --peer-selector"));
    assert!(config(&["--peer=b=h:1", "--peer=b=h:2"]).unwrap_err().to_string().contains("twice"));
    assert!(config(&["--log-level=a=b=c"]).unwrap_err().to_string().contains("--log-level"));
    assert!(config(&["--controller-name=a b"]).unwrap_err().to_string().contains("--controller-name"));
    let nameless = flags(&["--identity="]).config_on(&KubeFlags::default(), || None).unwrap_err();
    assert!(nameless.to_string().contains("--identity"));
}

#[test]
fn peers_are_read_strictly() {
    let peer = |text: &str| text.parse::<Peer>();
    assert_eq!(
        peer("b=host:1").unwrap(),
        Peer { name: "b".into(), host: "host".into(), port: 1, node: None }
    );
    for bad in [
        "",
        "b",
        "b=",
        "b=host",
        "b=host:",
        "b=host:0",
        "b=host:99999",
        "=host:1",
        "b=:1",
        "b=h:1@",
        "b=fd00::2:1",
    ] {
        assert!(peer(bad).is_err(), "{bad:?}");
    }
}
