//! The command line as typed.

use super::*;
use std::ffi::OsString;

fn parsed(args: &[&str]) -> Result<Cli, clap::Error> {
    parse(std::iter::once(&"hotstandby").chain(args).map(OsString::from))
}

#[test]
fn definitions_are_sound() {
    use clap::CommandFactory;
    Cli::command().debug_assert();
}

#[test]
fn every_command_is_read() {
    for args in [
        &["status"][..],
        &["status", "web", "-n", "shop", "-o", "json"],
        &["status", "-A", "-w", "-o", "wide"],
        &["-n", "shop", "--context", "c", "status"],
        &["switchover", "web"],
        &["switchover", "web", "--to", "web-1", "--wait", "--timeout", "1m"],
        &["switchover", "web", "--wait=false"],
        &["pause", "web"],
        &["resume", "web", "--kubeconfig", "f"],
        &["import"],
        &["import", "-A", "--check", "-o", "json"],
        &["import", "-f", "a.yaml", "-f", "-", "-n", "shop"],
        &["doctor", "-A", "-o", "json"],
        &["why", "web", "-n", "shop"],
        &["why", "service/web"],
        &["manifests", "--namespaced", "a,b"],
        &["manifests", "--out", "deploy"],
        &["manifests", "--check", "deploy"],
        &["controller", "--namespace", "a", "--namespace", "b"],
        &["docs", "--check", "docs"],
    ] {
        assert!(parsed(args).is_ok(), "{args:?}: {}", parsed(args).err().unwrap());
    }
}

#[test]
fn wrong_usage_is_refused_with_exit_code_2() {
    for args in [
        &[][..],
        &["status", "web", "-A"],
        &["status", "-A", "-n", "shop"],
        &["status", "-o", "xml"],
        &["status", "../nodes"],
        &["switchover"],
        &["import", "-A", "-f", "a.yaml"],
        &["doctor", "-A", "-n", "shop"],
        &["why"],
        &["why", "pod/web"],
        &["switchover", "web", "--timeout", "fast"],
        &["switchover", "web", "--to", "a,b"],
        &["manifests", "--out", "a", "--check", "b"],
        &["manifests", "--out", "a", "--namespaced", "b"],
        &["manifests", "--with", "everything"],
        &["controller", "--peer", "b"],
        &["docs"],
    ] {
        let error = parsed(args).err().unwrap_or_else(|| panic!("{args:?} was taken"));
        assert_eq!(error.exit_code(), 2, "{args:?}");
    }
}

#[test]
fn flags_after_the_command_win() {
    let flags = |namespace: Option<&str>| KubeFlags {
        namespace: namespace.map(str::to_owned),
        ..KubeFlags::default()
    };
    assert_eq!(flags(Some("b")).or(&flags(Some("a"))).namespace.as_deref(), Some("b"));
    assert_eq!(flags(None).or(&flags(Some("a"))).namespace.as_deref(), Some("a"));
}

#[tokio::test]
async fn rights_of_later_versions_are_refused_by_name() {
    let cli = parsed(&["manifests", "--with", "role-labels,endpoints-copy"]).unwrap();
    assert_eq!(run_user_command(cli).await, ExitCode::from(2));
}
