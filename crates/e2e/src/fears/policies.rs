//! Somebody else writes what hotstandby leads by, and the admission policies are there.
//!
//! Who is refused has every right: an administrator, or a `GitOps` tool. kubectl is what they would use.

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::harness::{START_LIMIT, SYSTEM};
use crate::objects::{Kind, MEMBER_LABEL, annotation, merge, name_of, text};
use crate::scene::{GROUP, Scene};
use crate::trial::{GENEROUS, PATIENT, Trial};
use crate::view::Slice;
use crate::watchdog::World;
use hotstandby_testbed::wait::until;

/// hotstandby's user with every right: what is refused to the administrator and not to it is refused by a policy.
const HOTSTANDBY: &[&str] =
    &["--as=system:serviceaccount:hotstandby-system:hotstandby", "--as-group=system:masters"];
/// Another install, which is not there: no hotstandby tidies up after it.
const CONTROLLER: &str = "hotstandby.dev/another";
const DESIGNATION: &str = "qoqo.dev/pod-designation";

const PODS: &str = "hotstandby-pods";
const ROLES: &str = "hotstandby-roles";
const SEATS: &str = "hotstandby-seats";
const SLICES: &str = "hotstandby-slices";
const POINTERS: &str = "hotstandby-pointers";

impl Trial {
    /// kubectl in the test's namespace.
    async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.kubectl_in(&self.namespace, arguments).await
    }

    async fn kubectl_in(&self, namespace: &str, arguments: &[&str]) -> Result<String> {
        let all: Vec<&str> = ["-n", namespace].iter().chain(arguments).copied().collect();
        self.env.kubectl(&all).await
    }

    async fn as_hotstandby(&self, arguments: &[&str]) -> Result<String> {
        let all: Vec<&str> = HOTSTANDBY.iter().chain(arguments).copied().collect();
        self.kubectl(&all).await
    }

    /// Must be refused by this policy.
    async fn refused(&self, policy: &str, arguments: &[&str]) -> Result<()> {
        self.refused_in(&self.namespace, policy, arguments).await
    }

    async fn refused_in(&self, namespace: &str, policy: &str, arguments: &[&str]) -> Result<()> {
        let said = match self.kubectl_in(namespace, arguments).await {
            Ok(said) => bail!("'kubectl {}' was not refused: {said}", arguments.join(" ")),
            Err(error) => format!("{error:#}"),
        };
        ensure!(
            said.contains(&format!("ValidatingAdmissionPolicy '{policy}'")),
            "not refused by {policy}: {said}"
        );
        Ok(())
    }

    /// An object in a file, for `-f`.
    fn in_file(&self, object: &Value) -> Result<String> {
        let name = format!("{}-{}-{}.json", self.namespace, text(object, "/kind"), name_of(object));
        let file = self.env.cluster.paths().state().join(name);
        std::fs::write(&file, object.to_string()).with_context(|| format!("writing {}", file.display()))?;
        Ok(file.display().to_string())
    }

    /// Puts the policies up, and waits until the API server goes by them.
    async fn guard(&self) -> Result<()> {
        self.env.put_policies().await?;
        let lease = Kind::Lease.object("cr.nobody.nothing", &json!({"metadata": {"namespace": SYSTEM}}));
        let pointed = self.in_file(&pointed("pointed-early", true))?;
        self.as_hotstandby(&["create", "-f", &pointed]).await?;
        let others = [
            (PODS, SYSTEM_OR_OWN, bare_pod("early", &json!({MEMBER_LABEL: "x"}))),
            (SEATS, SYSTEM, lease),
            (SLICES, SYSTEM_OR_OWN, slice("early", CONTROLLER)),
        ];
        for (policy, namespace, object) in others {
            let namespace = if namespace.is_empty() { &self.namespace } else { namespace };
            let file = self.in_file(&object)?;
            let what = format!("policy {policy} to be in force");
            until(PATIENT, &what, async || {
                Ok(self
                    .refused_in(namespace, policy, &["create", "--dry-run=server", "-f", &file])
                    .await
                    .ok())
            })
            .await?;
        }
        // Another value each time: dry runs are allowed, and a patch that was stored before the policy worked changes nothing again.
        let mut tries = 0;
        until(PATIENT, "policy hotstandby-pointers to be in force", async || {
            tries += 1;
            let move_it = json!({"spec": {"selector": {MEMBER_LABEL: format!("x{tries}")}}}).to_string();
            let patch = ["patch", "service", "pointed-early", "--type=merge", "-p", &move_it];
            Ok(self.refused(POINTERS, &patch).await.ok())
        })
        .await
    }
}

/// The namespace of a test, in a table.
const SYSTEM_OR_OWN: &str = "";

/// A pod that nobody runs.
fn bare_pod(name: &str, labels: &Value) -> Value {
    let container = json!({"name": "app", "image": "nothing"});
    let spec = json!({"schedulerName": "nobody", "containers": [container]});
    Kind::Pod.object(name, &json!({"metadata": {"labels": labels}, "spec": spec}))
}

/// A slice that says it is hotstandby's.
fn slice(name: &str, controller: &str) -> Value {
    Kind::EndpointSlice.object(
        name,
        &json!({
            "metadata": {
                "labels": {
                    "kubernetes.io/service-name": "nobody",
                    "endpointslice.kubernetes.io/managed-by": "hotstandby.dev",
                },
                "annotations": {"hotstandby.dev/controller": controller},
            },
            "addressType": "IPv4",
            "endpoints": [],
            "ports": [],
        }),
    )
}

/// A Service as it stands in Git, or with the pointer on it.
fn pointed(name: &str, pointer: bool) -> Value {
    let mut service = Kind::Service.object(
        name,
        &json!({
            "metadata": {"annotations": {"qoqo.dev/service-mode": "active-standby"}},
            "spec": {"selector": {"app": "nobody"}, "ports": [{"port": 80}]},
        }),
    );
    if pointer {
        let marks = json!({"hotstandby.dev/controller": CONTROLLER, "hotstandby.dev/undo": "{}"});
        merge(
            &mut service,
            &json!({"metadata": {"annotations": marks}, "spec": {"selector": {MEMBER_LABEL: "u1"}}}),
        );
    }
    service
}

/// Seat, slice and marks are edited by an administrator and refused; hotstandby works as ever, and so do those who make,
/// change and remove pods and Services.
pub(super) async fn edits_refused_by_policy(trial: &mut Trial) -> Result<()> {
    Scene::default().deploy(trial).await?;
    trial.guard().await?;
    let active = trial.active()?;
    let standby = trial.standbys()?.into_iter().next().context("there is no standby")?;
    trial.start_client(&[&active.node]).await?;

    let seat = format!("cr.{}.{GROUP}", trial.namespace);
    let steal = json!({"spec": {"holderIdentity": standby.pod}}).to_string();
    trial.refused_in(SYSTEM, SEATS, &["patch", "lease", &seat, "--type=merge", "-p", &steal]).await?;
    trial.refused_in(SYSTEM, SEATS, &["delete", "lease", &seat]).await?;

    let slice_name = our_slice(trial)?;
    let empty = json!({"endpoints": []}).to_string();
    trial.refused(SLICES, &["patch", "endpointslice", &slice_name, "--type=merge", "-p", &empty]).await?;
    let unlabel = ["label", "endpointslice", &slice_name, "endpointslice.kubernetes.io/managed-by-"];
    trial.refused(SLICES, &unlabel).await?;
    let disguise = "hotstandby.dev/controller=hotstandby.dev/await";
    trial.refused(SLICES, &["annotate", "--overwrite", "endpointslice", &slice_name, disguise]).await?;
    trial.refused(SLICES, &["delete", "endpointslice", &slice_name]).await?;
    // A gatekeeper's pod writes its own.
    let own = trial.in_file(&slice("of-a-gatekeeper", "hotstandby.dev/await"))?;
    trial.kubectl(&["create", "-f", &own]).await?;

    let pod = standby.pod.as_str();
    for change in [&*format!("{MEMBER_LABEL}=x"), &*format!("{DESIGNATION}=active")] {
        trial.refused(PODS, &["label", "pod", pod, change]).await?;
    }
    trial.refused(PODS, &["annotate", "pod", pod, "hotstandby.dev/undo={}"]).await?;
    let through_status = json!({"metadata": {"labels": {MEMBER_LABEL: "x"}}}).to_string();
    trial
        .refused(PODS, &["patch", "pod", pod, "--subresource=status", "--type=merge", "-p", &through_status])
        .await?;
    trial.kubectl(&["label", "pod", pod, "team=blue"]).await?;
    trial.kubectl(&["annotate", "pod", pod, "hotstandby.dev/priority=1"]).await?;

    // hotstandby's own writes pass: the seat moves, the slice follows.
    let process = trial.process_of(&active.pod).await?;
    let fault = trial.hurt(process.signal(Signal::SIGKILL)?);
    trial.failover(fault, &active, GENEROUS).await?;
    trial.settled(3).await?;
    trial.moved(1).await?;
    trial.end_client();
    // The Deployment's controller makes pods, and who is named by hotstandby may remove them.
    trial.kubectl(&["delete", "pod", pod, "--wait=false"]).await?;
    trial
        .dog
        .wait(START_LIMIT, "the pod to go", |world| world.find(Kind::Pod, pod).is_none().then_some(()))
        .await?;
    trial.settled(3).await?;
    // The Service's slices go with it, and the group's seat with the group.
    trial.kubectl(&["delete", "service", "--all"]).await?;
    trial.kubectl(&["delete", "activestandby", GROUP]).await?;
    let gone = |world: &World| {
        let slices = world.all(Kind::EndpointSlice).filter(|one| one_of_ours(one)).count();
        (world.seat(GROUP).is_none() && slices == 0).then_some(())
    };
    trial.dog.wait(START_LIMIT, "seat and slices to go", gone).await
}

fn our_slice(trial: &Trial) -> Result<String> {
    let world = trial.dog.world();
    let found = world.all(Kind::EndpointSlice).find(|one| Slice::of(one).ours);
    found.map(|slice| name_of(slice).to_owned()).context("there is no slice")
}

fn one_of_ours(slice: &Value) -> bool {
    annotation(slice, "hotstandby.dev/controller") == Some("hotstandby.dev/controller")
}

/// Labels that tell who is active are set by hand, by a template, or by the label's removal: refused, whether hotstandby has
/// written to that pod before or not; the standby's value in a template is not.
pub(super) async fn role_labels_refused_by_policy(trial: &mut Trial) -> Result<()> {
    trial.guard().await?;
    let group = json!({"spec": {
        "selector": {"matchLabels": {"app": "bare"}},
        "roleLabel": {"key": "role"},
        "traffic": {"services": [{"name": "nobody"}]},
        "paused": true,
    }});
    let group = Kind::ActiveStandby.object("bare", &group);
    trial.env.objects.create(Kind::ActiveStandby, &trial.namespace, &group).await?;
    let file = |name: &str, labels: Value| trial.in_file(&bare_pod(name, &labels));
    let early = file("early-active", json!({"app": "bare", "role": "active"}))?;
    until(PATIENT, "policy hotstandby-roles to know the group", async || {
        Ok(trial.refused(ROLES, &["create", "--dry-run=server", "-f", &early]).await.ok())
    })
    .await?;

    let designated = file("designated", json!({"app": "other", DESIGNATION: "active"}))?;
    trial.refused(PODS, &["create", "-f", &designated]).await?;
    let copied = file("copied", json!({"app": "bare", MEMBER_LABEL: "u1"}))?;
    trial.refused(PODS, &["create", "-f", &copied]).await?;
    for (name, labels) in [
        ("standby", json!({"app": "bare", "role": "standby"})),
        ("bare", json!({"app": "bare"})),
        ("stranger", json!({"app": "other", "role": "active"})),
        ("led", json!({"app": "other", "zone": "a"})),
    ] {
        trial.kubectl(&["create", "-f", &file(name, labels)?]).await?;
    }
    trial.refused(ROLES, &["label", "--overwrite", "pod", "standby", "role=active"]).await?;
    trial.refused(ROLES, &["label", "pod", "standby", "role-"]).await?;
    trial.refused(ROLES, &["label", "pod", "bare", "role=active"]).await?;
    trial.kubectl(&["label", "--overwrite", "pod", "stranger", "role=standby"]).await?;
    trial.kubectl(&["label", "--overwrite", "pod", "bare", "app=elsewhere"]).await?;

    // What the marks say is led is guarded with no group at all.
    let controller = format!("hotstandby.dev/controller={CONTROLLER}");
    let undo = r#"hotstandby.dev/undo={"zone":"a","rack":null}"#;
    trial.as_hotstandby(&["annotate", "pod", "led", &controller, undo]).await?;
    trial.refused(PODS, &["label", "--overwrite", "pod", "led", "zone=b"]).await?;
    trial.refused(PODS, &["label", "pod", "led", "rack=7"]).await?;
    trial.kubectl(&["label", "pod", "led", "rac=7"]).await?;
    trial.as_hotstandby(&["label", "--overwrite", "pod", "led", "zone=b"]).await?;
    trial.kubectl(&["delete", "pod", "led", "--force"]).await.map(|_| ())
}

/// A `GitOps` tool applies a Service as it stands in Git, without the pointer: refused, unless its owner wants it so. Dry runs,
/// other changes, the end of the opt-in and the Service's removal are not.
pub(super) async fn pointer_survives_git(trial: &mut Trial) -> Result<()> {
    trial.guard().await?;
    let git = trial.in_file(&pointed("pointed", false))?;
    let apply = ["apply", "--server-side", "--force-conflicts", "--field-manager=git", "-f", &git];
    trial.kubectl(&apply).await?;
    let point = json!({
        "metadata": {"annotations": {"hotstandby.dev/controller": CONTROLLER, "hotstandby.dev/undo": "{}"}},
        "spec": {"selector": {MEMBER_LABEL: "u1"}},
    })
    .to_string();
    let point = ["patch", "service", "pointed", "--type=merge", "-p", &point];
    trial.as_hotstandby(&point).await?;

    trial.refused(POINTERS, &apply).await?;
    trial.refused(POINTERS, &["replace", "-f", &git]).await?;
    let dry: Vec<&str> = apply.iter().copied().chain(["--dry-run=server"]).collect();
    trial.kubectl(&dry).await?;
    trial.kubectl(&["label", "service", "pointed", "team=blue"]).await?;
    trial.refused(POINTERS, &["annotate", "service", "pointed", "hotstandby.dev/undo-"]).await?;
    let service = trial.env.objects.get(Kind::Service, &trial.namespace, "pointed").await?;
    ensure!(
        service
            .pointer("/spec/selector")
            .and_then(|all| all.get(MEMBER_LABEL))
            .is_some_and(|uid| uid == "u1"),
        "the pointer is gone: {service}"
    );

    let mut unguarded = pointed("pointed", false);
    merge(&mut unguarded, &json!({"metadata": {"annotations": {"hotstandby.dev/unguarded": "true"}}}));
    trial.in_file(&unguarded)?;
    trial.kubectl(&apply).await?;
    trial.kubectl(&["annotate", "service", "pointed", "hotstandby.dev/unguarded-"]).await?;

    trial.as_hotstandby(&point).await?;
    let mut without = pointed("pointed", false);
    merge(&mut without, &json!({"metadata": {"annotations": null}}));
    trial.in_file(&without)?;
    trial.kubectl(&apply).await?;
    trial.as_hotstandby(&point).await?;
    trial.kubectl(&["delete", "service", "pointed"]).await.map(|_| ())
}
