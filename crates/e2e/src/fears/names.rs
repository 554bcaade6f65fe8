//! Clients that find the active pod by name.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use crate::objects::Kind;
use crate::scene::{SERVICE, Scene};
use crate::trial::{PATIENT, Trial};
use hotstandby_testbed::dns::{self, Record};

/// The name of a headless Service with a selector means all its pods; the group's own, without one, means the active pod alone,
/// and the next one right after a switchover.
pub(super) async fn headless_name_means_another_pod(trial: &mut Trial) -> Result<()> {
    let all = "web-all";
    trial.dog.fed_by_selector(&[all]);
    let ports = json!([{"name": "http", "port": 80, "targetPort": "http"}]);
    let led = Kind::Service.object(SERVICE, &json!({"spec": {"clusterIP": "None", "ports": ports}}));
    let usual = Kind::Service
        .object(all, &json!({"spec": {"clusterIP": "None", "selector": {"app": "web"}, "ports": ports}}));
    Scene::default().services(vec![led, usual]).deploy(trial).await?;

    let (active, standbys) = (trial.active()?, trial.standbys()?);
    let ips: Vec<&str> = standbys.iter().chain([&active]).map(|pod| pod.ip.as_str()).collect();
    trial.resolves_to(all, &ips, PATIENT).await?;
    trial.resolves_to(SERVICE, &[&active.ip], PATIENT).await?;

    let to = standbys.first().context("there is no standby")?;
    trial.cli(&["switchover", "web", "--to", &to.pod]).await?;
    trial.resolves_to(SERVICE, &[&to.ip], Duration::from_secs(2)).await?;
    let answer = trial.resolve(&format!("_http._tcp.{SERVICE}"), dns::Kind::Srv).await?;
    let [Record::Target(_, port)] = answer.records.as_slice() else { anyhow::bail!("{answer:?}") };
    ensure!(*port == 8080, "{answer:?}");
    let none = trial.resolve(SERVICE, dns::Kind::Aaaa).await?;
    ensure!(none.exists && none.records.is_empty(), "a cluster without IPv6 answered {none:?}");
    trial.note(format!("records live {} s", answer.ttl_s.unwrap_or_default()));
    trial.moved(1).await
}
