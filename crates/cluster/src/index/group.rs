//! A group as the index keeps it, made from the watched `ActiveStandby` or from annotated Services.

use crate::api::status::ToldStatus;
use crate::api::{ActiveStandby, CriticalContainers, Selector};
use crate::status::ObservedStatus;
use crate::wire::unix_ms;
use hotstandby_core::ids::{GroupKey, GroupKind, Term, Uid};
use hotstandby_core::notice::{Delivered, Role};
use hotstandby_core::observation::GroupView;
use hotstandby_core::spec::{GroupSpec, SpecError};
use hotstandby_core::switchover::{Answer, Phase};
use kube::core::{DeserializeGuard, ObjectMeta};
use std::sync::Arc;

/// What is kept of a group's object: an `ActiveStandby`, or a Service that stands for one.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupObject {
    /// Namespace and name.
    pub key: GroupKey,
    /// When it was made, Unix milliseconds: the older group keeps a Service both name.
    pub created_ms: i64,
    /// What the core is told.
    pub view: GroupView,
    /// Its status as JSON, to be merged with: a tenth of its size in memory otherwise.
    status: Option<Arc<[u8]>>,
    /// Which pods are its members; `None` where the spec is invalid.
    pub selector: Option<Arc<Selector>>,
    /// What the selector's `matchLabels` demand: by these groups are found.
    pub pairs: Vec<(Arc<str>, Arc<str>)>,
    /// Which containers are critical.
    pub critical: Arc<CriticalContainers>,
    /// The Services it names, also where the spec is invalid: a slip of the pen must not hand them to another group.
    pub services: Vec<Arc<str>>,
}

impl GroupObject {
    /// Reads a watched object; `None` if it is no stored object.
    ///
    /// One that cannot be read at all, left behind by a newer version, is kept with an error for a spec.
    pub fn new(object: &DeserializeGuard<ActiveStandby>) -> Option<Self> {
        match &object.0 {
            Ok(group) => Self::readable(group),
            Err(invalid) => {
                let problem = format!("the object cannot be read: {}", invalid.error);
                let error = SpecError::new("spec", problem, "correct the object, or update hotstandby");
                Self::unreadable(&invalid.metadata, error)
            }
        }
    }

    fn readable(group: &ActiveStandby) -> Option<Self> {
        let mut object = Self::unreadable(&group.metadata, SpecError::new("spec", "", ""))?;
        object.services =
            group.spec.traffic.services.iter().map(|service| service.name.as_str().into()).collect();
        object.view.paused = group.is_paused();
        object.view.switchover = group.annotation(crate::names::SWITCHOVER).map(Into::into);
        if let Some(status) = &group.status {
            object.status = serde_json::to_vec(status).ok().map(Into::into);
            object.view.status_term = status.term.and_then(|term| u64::try_from(term).ok()).map(Term);
            object.view.answered = status.switchover.as_ref().and_then(|answer| {
                Some(Answer {
                    request: answer.request.as_str().into(),
                    phase: Phase::parse(&answer.phase)?,
                    message: answer.message.clone(),
                })
            });
            object.view.delivered =
                status.members.iter().filter_map(|member| delivered(member.told.as_ref()?)).collect();
        }
        match group.spec.check() {
            Ok(checked) => {
                object.view.spec = Ok(Arc::new(checked.group));
                let labels = group.spec.selector.match_labels.iter();
                object.pairs =
                    labels.map(|(key, value)| (key.as_str().into(), value.as_str().into())).collect();
                object.selector = Some(Arc::new(checked.selector));
                object.critical = Arc::new(checked.critical_containers);
            }
            Err(error) => object.view.spec = Err(error),
        }
        Some(object)
    }

    /// The group that annotated Services make, called after one of them. What it is for is filled in by the caller.
    pub(super) fn of_service(
        key: GroupKey,
        uid: Uid,
        created_ms: i64,
        spec: Result<Arc<GroupSpec>, SpecError>,
    ) -> Self {
        Self {
            key,
            created_ms,
            view: GroupView {
                uid,
                // Of no use: there is no status to write, and a Service changes without concerning its group.
                rv: "".into(),
                generation: 0,
                spec,
                paused: false,
                switchover: None,
                answered: None,
                status_term: None,
                delivered: Vec::new(),
            },
            status: None,
            selector: None,
            pairs: Vec::new(),
            critical: Arc::default(),
            services: Vec::new(),
        }
    }

    fn unreadable(meta: &ObjectMeta, error: SpecError) -> Option<Self> {
        Some(Self {
            key: GroupKey::cr(meta.namespace.as_deref()?, meta.name.as_deref()?),
            created_ms: unix_ms(meta.creation_timestamp.as_ref()).unwrap_or(i64::MAX),
            view: GroupView {
                uid: meta.uid.as_deref()?.into(),
                rv: meta.resource_version.as_deref()?.into(),
                generation: meta.generation.unwrap_or(0),
                spec: Err(error),
                paused: false,
                switchover: None,
                answered: None,
                status_term: None,
                delivered: Vec::new(),
            },
            status: None,
            selector: None,
            pairs: Vec::new(),
            critical: Arc::default(),
            services: Vec::new(),
        })
    }

    /// Its status as the watch showed it.
    pub fn status(&self) -> ObservedStatus {
        ObservedStatus { uid: self.view.uid.clone(), rv: self.view.rv.clone(), json: self.status.clone() }
    }

    /// Its UID.
    pub fn uid(&self) -> &Uid {
        &self.view.uid
    }

    /// What decides between two groups that want the same: the lesser has it. An `ActiveStandby` goes before annotations, then the
    /// oldest, and ties end by UID.
    pub(super) fn precedence(&self) -> (GroupKind, i64, &Uid) {
        (self.key.kind, self.created_ms, self.uid())
    }
}

/// What status says was delivered; `None` where it cannot be read.
fn delivered(told: &ToldStatus) -> Option<Delivered> {
    let ToldStatus { uid, role, term, tries, acknowledged, error } = told;
    Some(Delivered {
        uid: uid.as_str().into(),
        role: Role::parse(role)?,
        term: Term(u64::try_from(*term).ok()?),
        tries: u32::try_from(*tries).ok()?,
        acknowledged: *acknowledged,
        error: error.as_deref().map(Into::into),
    })
}
