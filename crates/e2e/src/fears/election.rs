//! Others elect: their Lease is followed, and nothing else.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use crate::objects::{Kind, is_ready_pod, merge, name_of, uid_of};
use crate::scene::{GROUP, SERVICE, Scene};
use crate::trial::{GENEROUS, PATIENT, Trial};
use crate::view::Seat;
use crate::watchdog::{World, pod_ip};
use hotstandby_testbed::faults::Inflicted;
use hotstandby_testbed::paths::workspace_root;

/// A program that elects as client-go does: its name and a random tail, transitions counted, renewed every two seconds. It runs
/// here and not in the pods; the Lease on the wire is the same.
struct Elector {
    lease: String,
    holder: String,
    pod: String,
    term: i64,
}

impl Elector {
    /// The pod called so takes the Lease.
    async fn elect(trial: &Trial, before: Option<Self>, pod: &str) -> Result<Self> {
        let (lease, term) = match &before {
            Some(before) => (before.lease.clone(), before.term + 1),
            None => (Seat::name(&trial.namespace, GROUP), 0),
        };
        let uid = {
            let world = trial.dog.world();
            let found = world.find(Kind::Pod, pod).with_context(|| format!("no pod {pod}"))?;
            uid_of(found).to_owned()
        };
        let elector = Self { lease, holder: format!("{pod}_5a1f-{term}"), pod: pod.to_owned(), term };
        let mut record = elector.record();
        if let Some(spec) = record.pointer_mut("/spec").and_then(Value::as_object_mut) {
            spec.insert("acquireTime".into(), now());
        }
        // For the watchdog alone: hotstandby believes such a mark only with the others that seal it.
        merge(&mut record, &json!({"metadata": {"annotations": {"hotstandby.dev/holder-uid": uid}}}));
        if before.is_some() {
            trial.patch(Kind::Lease, &elector.lease, &record).await?;
        } else {
            let object = Kind::Lease.object(&elector.lease, &record);
            trial.env.objects.create(Kind::Lease, &trial.namespace, &object).await?;
        }
        Ok(elector)
    }

    fn record(&self) -> Value {
        json!({"spec": {
            "holderIdentity": self.holder, "leaseTransitions": self.term, "leaseDurationSeconds": 15, "renewTime": now(),
        }})
    }

    async fn renew(&self, trial: &Trial) -> Result<()> {
        trial.patch(Kind::Lease, &self.lease, &self.record()).await.map(drop)
    }

    /// What client-go leaves behind: nobody holds it, for a second.
    async fn release(&self, trial: &Trial) -> Result<()> {
        let change = json!({"spec": {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": now()}});
        trial.patch(Kind::Lease, &self.lease, &change).await.map(drop)
    }
}

fn now() -> Value {
    json!(Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string())
}

fn ready_pods(world: &World) -> Vec<String> {
    let ready = world.all(Kind::Pod).filter(|pod| is_ready_pod(pod) && !pod_ip(pod).is_empty());
    ready.map(|pod| name_of(pod).to_owned()).collect()
}

/// Anybody's leader gets a leader Service: what is not granted is said, each change is followed at once, renewals cost no
/// write, a released Lease takes no traffic away, and the Lease is never written.
pub(super) async fn election_of_others_is_followed(trial: &mut Trial) -> Result<()> {
    trial.watch_seats_in(&trial.namespace.clone()).await?;
    let lease = Seat::name(&trial.namespace, GROUP);
    let election = json!({"election": {"mode": "External", "lease": {"name": lease}}});
    Scene::default().spec(&election).create(trial).await?;
    let said = trial.condition("Accepted", "False", "LeaseNotGranted", PATIENT).await?;
    ensure!(said.contains("follow-leases"), "the condition names no remedy: {said}");
    let file = follow_leases(trial).await?;
    let outcome = followed(trial).await;
    unfollow_leases(trial, &file).await?;
    outcome
}

/// Grants the controller the right to read Leases; the file that does.
pub(super) async fn follow_leases(trial: &Trial) -> Result<PathBuf> {
    let file = workspace_root().join("deploy/follow-leases.yaml");
    trial.env.apply(&file).await?;
    Ok(file)
}

/// Takes it away again: other tests want to see that nothing else needs it.
pub(super) async fn unfollow_leases(trial: &Trial, file: &Path) -> Result<()> {
    trial.env.kubectl(&["delete", "-f", &file.display().to_string()]).await.map(drop)
}

async fn followed(trial: &mut Trial) -> Result<()> {
    trial.condition("Accepted", "True", "", PATIENT).await?;
    let all = |world: &World| Some(ready_pods(world)).filter(|pods| pods.len() == 3);
    let pods = trial.dog.wait(PATIENT, "three ready pods", all).await?;
    let [first, second, third] = pods.as_slice() else { anyhow::bail!("three pods: {pods:?}") };

    let elector = Elector::elect(trial, None, first).await?;
    trial.settled(3).await?;
    trial.rested().await?;
    trial.start_client(&[]).await?;

    // A change of hands, while the one before serves on.
    let old = trial.active()?;
    let fault = trial.hurt(Inflicted::now());
    let elector = Elector::elect(trial, Some(elector), second).await?;
    let seen = trial.failover(fault, &old, GENEROUS).await?;
    ensure!(*seen.new == *elector.pod, "{} answers, not {}", seen.new, elector.pod);
    let change = trial.change_told(elector.term).await?;
    ensure!(change.reason == "LeaseChanged", "the reason was {}", change.reason);
    trial.settled(3).await?;
    trial.rested().await?;

    // Renewals are none of our business.
    let version = trial.dog.world().newest_version();
    for _ in 0..5 {
        elector.renew(trial).await?;
    }
    trial.dog.catch_up().await?;
    let quiet = |world: &World| (world.quiet_for(Kind::Lease) > Duration::from_secs(1)).then_some(());
    trial.dog.wait(PATIENT, "a second after the renewals", quiet).await?;
    let writes = trial.dog.writes_since(version);
    let other: Vec<&String> = writes.iter().filter(|line| !line.starts_with("seat ")).collect();
    ensure!(writes.len() == 5 && other.is_empty(), "renewals were answered by writes: {writes:?}");

    // Who is active is not ours to change.
    let (ok, said) = trial.env.hotstandby(&["switchover", GROUP, "-n", &trial.namespace]).await?;
    ensure!(!ok && said.contains("External"), "a switchover of others' election: {said}");

    // Nobody holds it: traffic stays, and goes on to the next at once.
    elector.release(trial).await?;
    trial.condition("Ready", "False", "LeaseReleased", PATIENT).await?;
    let fault = Inflicted::now();
    let old = trial.active()?;
    let elector = Elector::elect(trial, Some(elector), third).await?;
    let seen = trial.failover(fault, &old, GENEROUS).await?;
    ensure!(*seen.new == *elector.pod, "{} answers, not {}", seen.new, elector.pod);
    trial.settled(3).await?;
    trial.nothing_failed()?;

    // The holder's pod goes, and the Lease still names it: its address is no longer served.
    trial.env.objects.delete(Kind::Pod, &trial.namespace, &elector.pod).await?;
    trial.condition("Ready", "False", "HolderGone", PATIENT).await?;
    let served = |world: &World| -> Vec<String> {
        let slices = world.slices(SERVICE);
        slices.into_iter().flat_map(|slice| slice.endpoints).map(|endpoint| endpoint.pod).collect()
    };
    let nobody = |world: &World| served(world).is_empty().then_some(());
    trial.dog.wait(GENEROUS, "nobody to be served", nobody).await?;
    let elector = Elector::elect(trial, Some(elector), first).await?;
    trial.settled(3).await?;
    let served = served(&trial.dog.world());
    ensure!(served == [elector.pod.clone()], "{served:?} are served, not {}", elector.pod);
    Ok(())
}
