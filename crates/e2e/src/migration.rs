//! What users of older systems have on the cluster, the controllers they have it from, and whom their Services lead to.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::harness::{START_LIMIT, blocking};
use super::led::{Rule, is_living};
use super::objects::{Kind, is_ready_pod, items, label, name_of, text, uid_of, version_of};
use super::trial::{Active, PATIENT, Trial};
use super::watchdog::{World, pod_ip};
use crate::old::{Old, System};
use hotstandby_testbed::dns::{self, Answer};
use hotstandby_testbed::wait::{fault_lasts, until};

/// A label.
pub type Label = (&'static str, &'static str);

/// A user's manifest.
#[derive(Debug, Clone, Copy)]
pub struct Users {
    /// The manifest below `crates/e2e/manifests`.
    pub file: &'static str,
    /// The Service that follows the active one.
    pub service: &'static str,
    /// What the pods have in common.
    pub app: Label,
    /// What makes one active.
    pub active: Label,
    /// How many pods.
    pub pods: usize,
    /// What is added to move over, if anything.
    pub group: Option<&'static str>,
    /// The rights that hotstandby needs beyond its own: files in `deploy/`.
    pub with: &'static [&'static str],
    /// Services of the manifest that lead to all pods.
    pub others: &'static [&'static str],
}

/// A: an annotated Service with a cluster IP.
pub const A: Users = Users {
    file: "a/web.yaml",
    service: "web",
    app: ("app", "web"),
    active: ("qoqo.dev/pod-designation", "active"),
    pods: 3,
    group: None,
    with: &["selector-pointer"],
    others: &[],
};

/// A: an annotated headless Service without ports.
pub const A_HEADLESS: Users = Users { file: "a/headless.yaml", service: "queue", app: ("app", "queue"), ..A };

/// B: a `ReplicaSet` whose pods start as standbys.
pub const B: Users = Users {
    file: "b/hapod.yaml",
    service: "hapod",
    app: ("app", "hapod"),
    active: ("role", "active"),
    pods: 3,
    group: Some("b/activestandby.yaml"),
    with: &["role-labels", "delete-pods"],
    others: &[],
};

/// D: a `StatefulSet` whose template knows of no role.
pub const D: Users = Users {
    file: "d/statefulset.yaml",
    service: "db-active",
    app: ("app", "db"),
    active: ("role", "active"),
    pods: 3,
    group: Some("d/activestandby.yaml"),
    with: &["role-labels"],
    others: &["db"],
};

/// D: a Deployment of four behind a headless Service.
pub const D_DEPLOYMENT: Users = Users {
    file: "d/deployment.yaml",
    service: "cache-active",
    app: ("app", "cache"),
    pods: 4,
    group: Some("d/activestandby-deployment.yaml"),
    others: &[],
    ..D
};

/// Where a manifest is.
pub fn manifest(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests").join(file)
}

/// The pods behind the ready endpoints of a Service, over all its slices.
fn ready_endpoints<'a>(world: &'a World, service: &str) -> Vec<&'a Value> {
    world
        .all(Kind::EndpointSlice)
        .filter(|slice| label(slice, "kubernetes.io/service-name") == Some(service))
        .flat_map(|slice| items(slice, "/endpoints"))
        .filter(|endpoint| endpoint.pointer("/conditions/ready") != Some(&Value::Bool(false)))
        .filter_map(|endpoint| world.pod_by_uid(text(endpoint, "/targetRef/uid")))
        .collect()
}

fn as_active(pod: &Value) -> Active {
    Active {
        pod: name_of(pod).to_owned(),
        uid: uid_of(pod).to_owned(),
        node: text(pod, "/spec/nodeName").to_owned(),
        ip: pod_ip(pod),
        term: 0,
    }
}

impl Users {
    /// The one pod that the Service leads to: it is active by its label, the only one, picked by the selector, and the only ready
    /// endpoint.
    pub fn led_to(&self, world: &World) -> Option<Active> {
        let [endpoint] = ready_endpoints(world, self.service)[..] else { return None };
        let [selected] = world.selected(self.service)[..] else { return None };
        (uid_of(endpoint) == uid_of(selected) && label(endpoint, self.active.0) == Some(self.active.1))
            .then(|| as_active(endpoint))
    }

    /// Those of its living pods that are active by their label.
    pub fn actives(&self, world: &World) -> Vec<Active> {
        world.picked(&[self.app, self.active]).into_iter().map(as_active).collect()
    }

    /// Each change of a label of its pods or of its Service's selector after a version, in words: what two controllers that fight
    /// do without end.
    pub fn role_changes(&self, world: &World, version: u64) -> Vec<String> {
        let mut records: Vec<_> = world
            .records()
            .iter()
            .filter(|record| match record.kind {
                Kind::Pod => label(&record.object, self.app.0) == Some(self.app.1),
                Kind::Service => name_of(&record.object) == self.service,
                _ => false,
            })
            .filter(|record| !record.deleted)
            .collect();
        records.sort_by_key(|record| record.version);
        let mut last: BTreeMap<&str, &Value> = BTreeMap::new();
        let mut changes = Vec::new();
        for record in records {
            let pointer = if record.kind == Kind::Pod { "/metadata/labels" } else { "/spec/selector" };
            let now = record.object.pointer(pointer).unwrap_or(&Value::Null);
            let before = last.insert(uid_of(&record.object), now);
            if let Some(before) = before.filter(|before| record.version > version && *before != now) {
                changes.push(format!("{} {}: {before} → {now}", record.kind.name(), name_of(&record.object)));
            }
        }
        changes
    }

    /// Its living pods that are not active by their label.
    pub fn standbys(&self, world: &World) -> Vec<Active> {
        let standbys = world.picked(&[self.app]).into_iter();
        standbys.filter(|pod| label(pod, self.active.0) != Some(self.active.1)).map(as_active).collect()
    }
}

impl Trial {
    /// Applies a manifest as its user would.
    pub async fn apply(&self, file: &str) -> Result<String> {
        let path = manifest(file).display().to_string();
        self.env.kubectl(&["apply", "-n", &self.namespace, "-f", &path]).await
    }

    /// Applies a user's manifest and waits until all its pods are ready.
    pub async fn deploy_users(&self, users: &Users) -> Result<()> {
        self.dog.fed_by_selector(&[users.service]);
        self.dog.fed_by_selector(users.others);
        self.apply(users.file).await?;
        self.pods_ready(users, users.pods).await
    }

    /// Waits until so many of a user's pods are ready, and no other is there.
    pub async fn pods_ready(&self, users: &Users, count: usize) -> Result<()> {
        let ready = |world: &World| {
            let pods: Vec<&Value> =
                world.all(Kind::Pod).filter(|pod| label(pod, users.app.0) == Some(users.app.1)).collect();
            (pods.len() == count && pods.iter().all(|pod| is_ready_pod(pod))).then_some(())
        };
        self.dog.wait(START_LIMIT, &format!("{count} ready pods of {}", users.service), ready).await
    }

    /// Asks that from now on nobody ever sees two of a user's pods active.
    pub fn one_active(&self, users: &Users) {
        self.dog.ask(Rule::OneReady(users.service.to_owned()));
        self.one_chosen(users);
    }

    /// The same, as far as labels and selector go: the endpoint controller may follow a test's edit after it was put right.
    pub fn one_chosen(&self, users: &Users) {
        self.dog.ask(Rule::OneSelected(users.service.to_owned()));
        self.dog.ask(Rule::true_marks(users.active));
        // With the selector pointer the labels change around the pointer's move: there the selector says who is active.
        if users.group.is_some() {
            self.dog.ask(Rule::one_labelled(users.app, users.active));
        }
    }

    /// Waits until a user's Service leads to a pod of this choice and to no other.
    pub async fn led_to(
        &self,
        users: &Users,
        limit: Duration,
        what: &str,
        choose: impl Fn(&Active) -> bool,
    ) -> Result<Active> {
        let led = |world: &World| users.led_to(world).filter(|active| choose(active));
        let told = self.dog.wait(limit, &format!("Service {} to lead to {what}", users.service), led).await;
        told.with_context(|| self.roles_text(users))
    }

    /// What pods and Service say, for an error.
    fn roles_text(&self, users: &Users) -> String {
        let world = self.dog.world();
        let pods: Vec<String> = world
            .all(Kind::Pod)
            .map(|pod| {
                let labels = pod.pointer("/metadata/labels").unwrap_or(&Value::Null);
                format!("{} living {} ready {} {labels}", name_of(pod), is_living(pod), is_ready_pod(pod))
            })
            .collect();
        let selector = world.find(Kind::Service, users.service).and_then(|one| one.pointer("/spec/selector"));
        let ready: Vec<&str> = ready_endpoints(&world, users.service).into_iter().map(name_of).collect();
        format!("selector {}, ready {ready:?}, pods {pods:?}", selector.unwrap_or(&Value::Null))
    }

    /// The client of a user's Service, which its active pod is to answer.
    pub async fn start_users_client(&mut self, users: &Users, not_on: &[&str]) -> Result<Active> {
        let active = users.led_to(&self.dog.world()).context("the Service leads to nobody yet")?;
        self.start_client_of(users.service, &active.pod, not_on).await?;
        Ok(active)
    }

    /// Starts an old controller, with the rights it has from its users.
    pub async fn start_old(&self, system: System) -> Result<Old> {
        let rights = match system {
            System::A => "a/rights.yaml",
            System::B => "b/rights.yaml",
            System::D { .. } => "d/rights.yaml",
        };
        if matches!(system, System::A) {
            // For all namespaces, and with a place of its own.
            self.env.kubectl(&["apply", "-f", &manifest(rights).display().to_string()]).await?;
        } else {
            self.apply(rights).await?;
        }
        Old::start(&self.env.cluster, &self.namespace, system).await
    }

    /// Grants hotstandby what a user's group needs beyond its own rights, by the YAML users apply.
    pub async fn grant(&self, users: &Users) -> Result<()> {
        self.env.grant(users.with).await
    }

    /// Lets hotstandby take over as its user would: with what has to be added, and nothing else. Waits until the Service leads
    /// to one pod by hotstandby's own record.
    pub async fn take_over(&self, users: &Users) -> Result<Active> {
        self.grant(users).await?;
        if let Some(group) = users.group {
            self.apply(group).await?;
            self.settled(users.pods).await?;
        }
        let what = "the holder of a seat";
        let led = |world: &World| {
            let seat = if users.group.is_some() {
                world.seat(super::scene::GROUP)
            } else {
                world.service_seat(users.service)
            }?;
            let active = users.led_to(world).filter(|active| active.uid == seat.holder_uid)?;
            Some(Active { term: seat.term, ..active })
        };
        let told = self.dog.wait(START_LIMIT, &format!("{} to lead to {what}", users.service), led).await;
        told.with_context(|| self.roles_text(users))
    }

    /// Takes hotstandby off the cluster, for what there was before it was installed. [`super::harness::Env::scale`] brings it
    /// back, and so does the end of the test.
    pub async fn without_hotstandby(&self) -> Result<()> {
        self.env.scale(0).await.map(drop)
    }

    /// What a Service's name means on a node.
    pub async fn resolve(&self, service: &str, kind: dns::Kind) -> Result<Answer> {
        let node = self.env.cluster.nodes().into_iter().next().context("no nodes")?;
        let name = dns::service_name(service, &self.namespace);
        blocking(move || dns::resolve(&node.netns(), &name, kind)).await
    }

    /// Waits until a Service's name means these addresses and no others.
    pub async fn resolves_to(&self, service: &str, ips: &[&str], limit: Duration) -> Result<()> {
        let mut wanted: Vec<IpAddr> = ips.iter().filter_map(|ip| ip.parse().ok()).collect();
        wanted.sort();
        until(limit, &format!("the name of {service} to mean {wanted:?}"), async || {
            let addresses = self.resolve(service, dns::Kind::A).await?.addresses();
            ensure!(addresses == wanted, "it means {addresses:?}");
            Ok(Some(()))
        })
        .await
    }

    /// Puts a label on a pod, or takes it away, as somebody who meddles; what follows from it is excused until it is put right.
    pub async fn relabel(&self, pod: &str, key: &str, value: Option<&str>) -> Result<Value> {
        let written = self.patch(Kind::Pod, pod, &json!({"metadata": {"labels": {key: value}}})).await?;
        self.dog.excuse(&written);
        Ok(written)
    }

    /// Waits for what the old controller chooses, and lets a client and the judge look on.
    pub async fn led_by_old(&mut self, users: &Users) -> Result<Active> {
        self.led_to(users, PATIENT, "the old controller's choice", |_| true).await?;
        self.rested().await?;
        let chosen = self.start_users_client(users, &[]).await?;
        self.one_active(users);
        Ok(chosen)
    }

    /// Waits until labels and selector have stayed as they are for a while, after so many changes at most: two controllers that
    /// fight never let them rest.
    pub async fn roles_rest(&mut self, users: &Users, quiet: Duration, most: usize) -> Result<()> {
        let version = self.dog.world().newest_version();
        let mut last = version;
        loop {
            fault_lasts(quiet).await;
            let world = self.dog.world();
            let changes = users.role_changes(&world, version);
            ensure!(
                changes.len() <= most,
                "changes of labels and selector while nothing happened: {changes:?}"
            );
            if users.role_changes(&world, last).is_empty() {
                return Ok(());
            }
            last = world.newest_version();
        }
    }

    /// Waits until what somebody wrote was seen by the watches.
    pub async fn seen(&self, written: &Value) -> Result<()> {
        let version = version_of(written);
        let seen = |world: &World| (world.newest_version() >= version).then_some(());
        self.dog.wait(PATIENT, "an edit to be told", seen).await
    }

    /// What a pod of the sample app was told, line by line: `udp …` and `http …`, without the time.
    pub async fn notices(&self, ip: &str) -> Result<Vec<String>> {
        let (status, body) = self.env.get(ip, 8080, "/notices").await?;
        ensure!(status == 200, "the app answered {status}: {body}");
        Ok(body.lines().filter_map(|line| Some(line.split_once(' ')?.1.to_owned())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hotstandby_testbed::image::SAMPLE_APP_IMAGE;

    #[test]
    fn users_manifests_are_there_and_run_the_sample_app() {
        for users in [A, A_HEADLESS, B, D, D_DEPLOYMENT] {
            let text = std::fs::read_to_string(manifest(users.file)).unwrap();
            let images: Vec<&str> =
                text.lines().filter_map(|line| line.trim().strip_prefix("image: ")).collect();
            assert!(!images.is_empty() && images.iter().all(|image| *image == SAMPLE_APP_IMAGE), "{users:?}");
            assert!(!text.contains("hotstandby.dev"), "{} knows of hotstandby", users.file);
            assert!(users.group.is_none_or(|file| manifest(file).is_file()), "{users:?}");
        }
        for rights in ["a/rights.yaml", "b/rights.yaml", "d/rights.yaml", "a/second-service.yaml"] {
            assert!(manifest(rights).is_file(), "{rights}");
        }
    }
}
