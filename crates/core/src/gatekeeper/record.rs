//! The Lease as the gatekeeper reads and writes it, and whose it is.

use crate::ids::{Rv, Term, Uid};
use std::sync::Arc;

/// Who this process is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The name in `holderIdentity`: usually the pod's. A name may be used again, so it proves nothing.
    pub name: Arc<str>,
    /// The pod's UID, where it is known.
    pub pod_uid: Option<Uid>,
    /// The container's name, if this process is the container's first: only then nothing of an earlier process of that
    /// container can be alive. Left out, the member's own earlier lease is waited out like anybody's.
    pub container: Option<Arc<str>>,
    /// A text that no other process ever has (random): tells what this very process wrote.
    pub instance: Arc<str>,
}

/// What a Lease's spec and our marks say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseRecord {
    /// `spec.holderIdentity`; `None` (or empty on the wire): nobody, it may be taken at once.
    pub holder: Option<Arc<str>>,
    /// `spec.leaseTransitions`; 0 where it is missing or negative.
    pub term: Term,
    /// `spec.leaseDurationSeconds`; 0 where it is missing or negative.
    pub duration_seconds: u32,
    /// `spec.acquireTime` in Unix microseconds: for people.
    pub acquired_us: i64,
    /// `spec.renewTime` in Unix microseconds: for people, and to know one's own write again. Never compared with a clock.
    pub renewed_us: i64,
    /// The annotations our own writes leave; `None` where one is missing or unreadable, and on a released record.
    pub marks: Option<Marks>,
}

/// What our own write notes beside the spec.
///
/// client-go keeps annotations that it does not know when it writes the spec, so the marks say again what they belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marks {
    /// The holder as we wrote it.
    pub holder_name: Arc<str>,
    /// UID of the holding pod, where it was known.
    pub pod_uid: Option<Uid>,
    /// Name of the holding container, where it was known.
    pub container: Option<Arc<str>>,
    /// The writing process's [`Identity::instance`].
    pub instance: Arc<str>,
    /// The term as we wrote it.
    pub term: Term,
    /// The renew time as we wrote it: shows that somebody else's renewal is not ours.
    pub renewed_us: i64,
}

impl LeaseRecord {
    /// The marks, if they say the same as the record: else somebody else wrote the spec after us.
    pub fn sealed(&self) -> Option<&Marks> {
        self.marks.as_ref().filter(|marks| {
            self.holder.as_deref() == Some(&*marks.holder_name)
                && self.term == marks.term
                && self.renewed_us == marks.renewed_us
        })
    }

    /// Whether an earlier process of this very container wrote it.
    ///
    /// The kubelet starts a container again only after all processes of the one before are dead, so that
    /// such a record can be taken at once.
    pub fn is_of_earlier_process(&self, me: &Identity) -> bool {
        let (Some(pod_uid), Some(container)) = (&me.pod_uid, &me.container) else { return false };
        self.sealed().is_some_and(|marks| {
            marks.holder_name == me.name
                && marks.pod_uid.as_ref() == Some(pod_uid)
                && marks.container.as_ref() == Some(container)
                && marks.instance != me.instance
        })
    }
}

/// A Lease as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseView {
    /// The Lease's UID: terms compare only within one.
    pub uid: Uid,
    /// The Lease's resourceVersion.
    pub rv: Rv,
    /// What it says.
    pub record: LeaseRecord,
}

/// The Lease, or that there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseState {
    /// There is none.
    Absent,
    /// This one.
    Present(LeaseView),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn me() -> Identity {
        Identity {
            name: "db-0".into(),
            pod_uid: Some("pod-a".into()),
            container: Some("db".into()),
            instance: "second".into(),
        }
    }

    fn record() -> LeaseRecord {
        LeaseRecord {
            holder: Some("db-0".into()),
            term: Term(7),
            duration_seconds: 15,
            acquired_us: 1,
            renewed_us: 2,
            marks: Some(Marks {
                holder_name: "db-0".into(),
                pod_uid: Some("pod-a".into()),
                container: Some("db".into()),
                instance: "first".into(),
                term: Term(7),
                renewed_us: 2,
            }),
        }
    }

    #[test]
    fn a_restarted_container_knows_its_own_lease() {
        assert!(record().is_of_earlier_process(&me()));
    }

    #[test]
    fn a_new_pod_of_the_same_name_is_a_stranger() {
        let new_pod = Identity { pod_uid: Some("pod-b".into()), ..me() };
        assert!(!record().is_of_earlier_process(&new_pod));
    }

    #[test]
    fn another_container_of_the_same_pod_is_a_stranger() {
        let sidecar = Identity { container: Some("sidecar".into()), ..me() };
        assert!(!record().is_of_earlier_process(&sidecar));
    }

    #[test]
    fn a_process_that_does_not_know_its_pod_takes_nothing_at_once() {
        assert!(!record().is_of_earlier_process(&Identity { pod_uid: None, ..me() }));
        assert!(!record().is_of_earlier_process(&Identity { container: None, ..me() }));
        let marks = record().marks.map(|marks| Marks { pod_uid: None, container: None, ..marks });
        let nameless = LeaseRecord { marks, ..record() };
        assert!(!nameless.is_of_earlier_process(&Identity { pod_uid: None, container: None, ..me() }));
    }

    #[test]
    fn marks_under_a_foreign_spec_prove_nothing() {
        let foreign = [
            LeaseRecord { holder: Some("db-1".into()), ..record() },
            LeaseRecord { holder: None, ..record() },
            LeaseRecord { term: Term(8), ..record() },
            // A plain client-go process of our name renews what it takes for its own: only the renew time differs.
            LeaseRecord { renewed_us: 3, ..record() },
            LeaseRecord { marks: None, ..record() },
        ];
        for record in foreign {
            assert!(record.sealed().is_none() && !record.is_of_earlier_process(&me()), "{record:?}");
        }
    }
}
