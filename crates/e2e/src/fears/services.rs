//! Several Services and ports.

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use crate::harness::blocking;
use crate::objects::{Kind, MEMBER_LABEL, label};
use crate::scene::{GROUP, SERVICE, Scene};
use crate::trial::Trial;
use crate::watchdog::World;
use hotstandby_testbed::netns::in_netns;
use hotstandby_testbed::wait::until;

const OTHER: &str = "web-other";
/// Undoing is pushed by a watch, and labels stay two seconds longer.
const UNDONE: Duration = Duration::from_secs(10);

/// Whom a port says to be led to: the app's port 7000 greets with its name.
async fn greeting(trial: &Trial, service: &str, port: u16) -> Result<String> {
    let address = trial.address(service, port).await?;
    let node = trial.env.cluster.nodes().into_iter().next().context("no nodes")?;
    let netns = node.netns();
    blocking(move || {
        in_netns(&netns, move || {
            let limit = Duration::from_secs(1);
            let stream = TcpStream::connect_timeout(&address, limit).context("connecting")?;
            stream.set_read_timeout(Some(limit)).context("limiting a read")?;
            let mut line = String::new();
            BufReader::new(stream).read_line(&mut line).context("reading a greeting")?;
            Ok(line.trim().to_owned())
        })?
    })
    .await
}

/// Two Services, ports by name and by number: all lead to the same pod, and move together.
pub(super) async fn two_services_named_ports(trial: &mut Trial) -> Result<()> {
    let one = Kind::Service.object(
        SERVICE,
        &json!({"spec": {"ports": [
            {"name": "web", "port": 80, "targetPort": "http"},
            {"name": "talk", "port": 7, "targetPort": 7000},
        ]}}),
    );
    let two = Kind::Service.object(OTHER, &json!({"spec": {"ports": [{"port": 70, "targetPort": "echo"}]}}));
    let services = json!({"traffic": {"services": [{"name": SERVICE}, {"name": OTHER}]}});
    Scene::default().services(vec![one, two]).spec(&services).deploy(trial).await?;
    let ports = |trial: &Trial, service: &str| -> Vec<(String, i64)> {
        trial.dog.world().slices(service).into_iter().flat_map(|slice| slice.ports).collect()
    };
    let mut first = ports(trial, SERVICE);
    first.sort();
    ensure!(first == [("talk".to_owned(), 7000), ("web".to_owned(), 8080)], "{first:?}");
    ensure!(ports(trial, OTHER) == [(String::new(), 7000)], "{:?}", ports(trial, OTHER));

    trial.start_client(&[]).await?;
    for _ in 0..2 {
        let active = trial.active()?;
        for (service, port) in [(SERVICE, 7), (OTHER, 70)] {
            until(
                Duration::from_secs(5),
                &format!("{service}:{port} to lead to {}", active.pod),
                async || Ok((greeting(trial, service, port).await? == active.pod).then_some(())),
            )
            .await?;
        }
        let to = trial.standbys()?.into_iter().next().context("there is no standby")?;
        trial.switch_to(&to.pod).await?;
        let terms: Vec<_> = [SERVICE, OTHER]
            .iter()
            .flat_map(|service| trial.dog.world().slices(service))
            .map(|slice| (slice.stamp, slice.endpoints))
            .collect();
        ensure!(terms.len() == 2 && terms.first() == terms.last(), "the slices differ: {terms:?}");
    }
    trial.moved(2).await?;
    trial.nothing_failed()
}

/// A Service that its group leads no more leads to all pods again, as before the group, and on the way to each of them never to none.
pub(super) async fn pointed_service_leaves_the_group(trial: &mut Trial) -> Result<()> {
    trial.env.grant(&["selector-pointer"]).await?;
    let pointed = Kind::Service.object(
        SERVICE,
        &json!({"spec": {"selector": {"app": GROUP}, "ports": [{"port": 80, "targetPort": "http"}]}}),
    );
    let own = Kind::Service.object(OTHER, &json!({"spec": {"ports": [{"port": 70, "targetPort": "echo"}]}}));
    let led =
        json!({"traffic": {"services": [{"name": SERVICE, "mode": "SelectorPointer"}, {"name": OTHER}]}});
    trial.dog.fed_by_selector(&[SERVICE]);
    Scene::default().services(vec![pointed, own]).spec(&led).deploy(trial).await?;
    trial.start_client(&[]).await?;
    let active = trial.active()?;

    let left = json!({"spec": {"traffic": {"services": [{"name": OTHER}]}}});
    trial.patch(Kind::ActiveStandby, GROUP, &left).await?;
    let as_before = |world: &World| {
        let service = world.find(Kind::Service, SERVICE)?;
        let selects_all = service.pointer("/spec/selector") == Some(&json!({"app": GROUP}));
        let bare = world.all(Kind::Pod).all(|pod| label(pod, MEMBER_LABEL).is_none());
        (selects_all && bare).then_some(())
    };
    trial.dog.wait(UNDONE, "selector and labels to be as before", as_before).await?;
    until(UNDONE, "the client to be led to other pods, too", async || {
        let answers = trial.trace().answers();
        Ok((answers.keys().any(|who| **who != *active.pod)).then_some(()))
    })
    .await?;
    trial.nothing_failed()
}
