//! The first process of a container: what it passes through, what it reaps, how it ends.

use crate::harness::{USUAL, World, called, command_line, lives, processes, until};
use std::fs;
use std::io::Write as _;
use std::process::Stdio;

#[test]
fn without_an_election_the_command_runs_in_the_same_process_with_everything_it_was_given() {
    for name in ["k8s-await-election", "/opt/k8s-await-election", "hotstandby-await"] {
        let child = called(name)
            .args(["/bin/sh", "-c", "echo $$ $MARK \"$1\"; exit 7", "sh", "a b"])
            .env("MARK", "kept")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let pid = child.id();
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{pid} kept a b\n"), "{name}");
        assert_eq!(output.status.code(), Some(7), "{name}");
    }
}

#[test]
fn wrong_settings_end_with_one_and_a_name() {
    let run = |args: &[&str], variables: &[(&str, &str)]| {
        let mut command = called("k8s-await-election");
        command.args(args).env("K8S_AWAIT_ELECTION_ENABLED", "1").envs(variables.iter().copied());
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, text) = run(&[], &[]);
    assert_eq!(code, Some(1));
    assert!(text.contains("no command"), "{text}");
    let (code, text) = run(&["true"], &[("K8S_AWAIT_ELECTION_NAME", "x")]);
    assert_eq!(code, Some(1));
    assert!(text.contains("K8S_AWAIT_ELECTION_LOCK_NAME"), "{text}");
}

#[test]
fn command_that_is_not_there_is_told_apart_from_one_that_fails() {
    let status = called("k8s-await-election").arg("/does/not/exist").stderr(Stdio::null()).status().unwrap();
    assert_eq!(status.code(), Some(127));
    let status = called("k8s-await-election").arg("/etc").stderr(Stdio::null()).status().unwrap();
    assert_eq!(status.code(), Some(126));
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_code_of_the_command_is_ours() {
    for (script, code) in [("exit 0", 0), ("exit 3", 3), ("kill -USR1 $$", 138), ("kill -9 $$", 137)] {
        let world = World::new().await;
        let mut member = world.member("db-0", USUAL, script).start();
        assert_eq!(member.ends().await.code(), Some(code), "{script}: {}", member.log());
        assert_eq!(world.holder(), "", "and the lease is given back");
    }
    let world = World::new().await;
    let mut member = world.bare("db-0", &["/does/not/exist"]).start();
    assert_eq!(member.ends().await.code(), Some(127));
}

#[tokio::test(flavor = "multi_thread")]
async fn input_output_arguments_and_term_reach_the_command() {
    let world = World::new().await;
    let plan = world.bare("db-0", &["/bin/sh", "-c", "echo \"$1\" $HOTSTANDBY_TERM; cat", "sh", "a b"]);
    let mut member = plan.start_with(Stdio::piped());
    let mut stdin = member.stdin();
    stdin.write_all(b"through\n").unwrap();
    drop(stdin);
    assert_eq!(member.ends().await.code(), Some(0));
    assert_eq!(member.out(), format!("a b {}\nthrough\n", world.term()));
    assert!(world.term() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_signal_reaches_the_commands_group() {
    let world = World::new().await;
    let script = format!(
        "for s in HUP USR1 USR2 WINCH; do trap \"echo $s >> {0}\" $s; done; trap 'exit 4' TERM; echo up >> {0}; \
         while :; do sleep 0.02; done",
        world.path("seen").display()
    );
    let mut member = world.member("db-0", USUAL, &script).start();
    world.lines("seen", 1).await;
    for (number, signal) in ["HUP", "USR1", "USR2", "WINCH"].into_iter().enumerate() {
        member.signal(signal);
        let lines = world.lines("seen", number + 2).await;
        assert_eq!(lines.last().map(String::as_str), Some(signal));
    }
    member.signal("TERM");
    assert_eq!(member.ends().await.code(), Some(4));
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_member_that_is_told_to_end_ends_as_by_that_signal() {
    let world = World::new().await;
    let mut holder = world.member("db-0", USUAL, "exec sleep 1000").start();
    until("a holder", || world.holder() == "db-0").await;
    for (name, signal, code) in [("db-1", "TERM", 143), ("db-2", "INT", 130)] {
        let mut waiting = world.member(name, USUAL, "exec sleep 1000").start();
        waiting.says("waiting").await;
        waiting.signal(signal);
        assert_eq!(waiting.ends().await.code(), Some(code), "{}", waiting.log());
        assert_eq!(world.writes_of(name), [""; 0], "whoever waits writes nothing");
    }
    assert!(holder.is_running());
}

#[tokio::test(flavor = "multi_thread")]
async fn orphans_are_reaped() {
    let world = World::new().await;
    // Each inner shell is dead before its sleep, whose parent is then the keeper.
    let script = format!(
        "for i in 1 2 3; do sh -c 'sleep 0.05 &'; done; echo up > {}; exec sleep 1000",
        world.path("up").display()
    );
    let member = world.member("db-0", USUAL, &script).start();
    world.lines("up", 1).await;
    until("only elector and command are left, and no zombie", || {
        let children: Vec<_> =
            processes().into_iter().filter(|process| process.parent == member.pid()).collect();
        children.len() == 2 && children.iter().all(|child| !child.zombie)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn daemonised_child_dies_with_the_command_and_before_the_release() {
    let world = World::new().await;
    let file = world.path("daemon");
    let script = format!(
        "setsid sh -c 'trap \"\" TERM HUP; echo $$ > {0}; exec sleep 1000' & while [ ! -s {0} ]; do sleep 0.01; done; exit 5",
        file.display()
    );
    let mut member = world.member("db-0", USUAL, &script).start();
    let daemon: i32 = world.lines("daemon", 1).await[0].parse().unwrap();
    let mut alive_at_release = None;
    until("the release", || {
        let released = world.lease().is_some() && world.holder().is_empty();
        alive_at_release = released.then(|| lives(daemon));
        released
    })
    .await;
    assert_eq!(alive_at_release, Some(false));
    assert_eq!(member.ends().await.code(), Some(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn lease_is_kept_until_the_command_has_ended() {
    let world = World::new().await;
    let (up, down) = (world.path("up"), world.path("down"));
    let script = format!(
        "trap 'sleep 0.5; echo down > {}; exit 6' TERM; echo $$ > {}; while :; do sleep 0.02; done",
        down.display(),
        up.display()
    );
    let mut member = world.member("db-0", USUAL, &script).start();
    let pid: i32 = world.lines("up", 1).await[0].parse().unwrap();
    member.signal("TERM");
    until("the release", || {
        let released = world.holder().is_empty();
        assert!(
            !released || (fs::read_to_string(&down).is_ok() && !lives(pid)),
            "released beside a living command"
        );
        released
    })
    .await;
    assert_eq!(member.ends().await.code(), Some(6));
    let lease = world.lease().unwrap();
    assert_eq!(lease["spec"]["leaseDurationSeconds"], 1);
    assert!(lease["metadata"]["annotations"].as_object().is_none_or(serde_json::Map::is_empty), "{lease}");
}

#[tokio::test(flavor = "multi_thread")]
async fn command_that_ignores_term_is_killed_when_patience_ends() {
    let world = World::new().await;
    let script =
        format!("trap '' TERM; echo $$ > {}; while :; do sleep 0.02; done", world.path("up").display());
    let mut member = world.member("db-0", USUAL, &script).flag("--term-grace=300ms").start();
    world.lines("up", 1).await;
    member.signal("TERM");
    assert_eq!(member.ends().await.code(), Some(137), "{}", member.log());
    assert_eq!(world.holder(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn first_process_of_a_pid_namespace_does_all_of_it_too() {
    let inside = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "--kill-child"];
    let possible = std::process::Command::new(inside[0]).args(&inside[1..]).arg("true").status();
    if !possible.is_ok_and(|status| status.success()) {
        eprintln!("not run: this machine does not allow PID namespaces");
        return;
    }
    let world = World::new().await;
    let script = format!(
        "sh -c 'sleep 0.05 &'; setsid sleep 1001 & trap 'exit 9' TERM; echo $PPID >> {}; while :; do sleep 0.02; done",
        world.path("up").display()
    );
    let plan = world.member("db-0", USUAL, &script).below(&inside);
    let mut member = plan.flag("--pod-uid=pod-a").flag("--container-name=db").start();
    assert_eq!(world.lines("up", 1).await, ["1"], "the keeper is the first process");
    let marks = world.lease().unwrap()["metadata"]["annotations"].clone();
    assert_eq!(marks["hotstandby.dev/holder-container"], "db", "{marks}");
    let first_term = world.term();

    // The container dies without a word; the next process of the same container need not wait.
    member.signal("KILL");
    member.ends().await;
    let started = std::time::Instant::now();
    let plan = world.member("db-0", USUAL, &script).below(&inside);
    let mut again = plan.flag("--pod-uid=pod-a").flag("--container-name=db").start();
    world.lines("up", 2).await;
    until("a term of its own", || world.term() == first_term + 1).await;
    assert!(started.elapsed().as_secs() < 10, "the lease was waited out");

    let keeper = processes().into_iter().find(|process| {
        process.parent == again.pid() && command_line(process.pid).contains("hotstandby-await")
    });
    crate::harness::send(keeper.unwrap().pid, "TERM");
    assert_eq!(again.ends().await.code(), Some(9), "{}", again.log());
}
