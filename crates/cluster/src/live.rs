//! Reading seat and pods live, in parallel: what a cache says is not good enough to write a seat by.

use crate::call::{Verb, with_deadline};
use crate::followed::followed_record;
use crate::pod::{Interner, Lens, PodLite, to_member_view};
use crate::seat::SeatStore;
use crate::wire::WirePod;
use futures::future::try_join_all;
use hotstandby_core::action::MemberRef;
use hotstandby_core::ids::{GroupKey, Term, Uid};
use hotstandby_core::observation::{Live, WriteError};
use hotstandby_core::seat::SeatState;
use hotstandby_core::view::MemberView;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client};
use std::sync::Arc;

/// Reads live.
#[derive(Clone)]
pub struct LiveReader {
    client: Client,
    seats: Arc<SeatStore>,
}

impl LiveReader {
    /// A reader over these stores.
    pub fn new(client: Client, seats: Arc<SeatStore>) -> Self {
        Self { client, seats }
    }

    /// Reads the group's seat (or the Lease it follows) and these pods at once, and the pod called `named`, whoever it is. A pod
    /// that is not there, or is another under the same name, reads as none. One failed read fails all: half an answer proves
    /// nothing.
    pub async fn verify(
        &self,
        key: &GroupKey,
        sight: &Sight,
        pods: &[MemberRef],
        named: Option<&str>,
    ) -> Result<Live, WriteError> {
        let api: Api<WirePod> = Api::namespaced(self.client.clone(), &key.namespace);
        let reads = try_join_all(pods.iter().map(|pod| read_pod(&api, pod, &sight.lens)));
        let named = async {
            match named {
                Some(name) => read_named(&api, name, &sight.lens).await,
                None => Ok(None),
            }
        };
        let (seat, pods, named) = futures::try_join!(self.seat(key, sight), reads, named)?;
        Ok(Live { seat, pods, named })
    }

    /// Reads one pod live; `None`: there is none, or another under its name.
    pub async fn pod(
        &self,
        key: &GroupKey,
        sight: &Sight,
        pod: &MemberRef,
    ) -> Result<Option<MemberView>, WriteError> {
        let api: Api<WirePod> = Api::namespaced(self.client.clone(), &key.namespace);
        read_pod(&api, pod, &sight.lens).await.map(|(_, found)| found)
    }

    /// Reads the seat live. What cannot be undone is done only while that stands as it was decided by, see [`stands`].
    pub async fn seat(&self, key: &GroupKey, sight: &Sight) -> Result<SeatState, WriteError> {
        let Some(name) = &sight.lease else { return self.seats.read(key).await };
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), &key.namespace);
        let what = format!("read Lease {name}");
        let Some(lease) = with_deadline(Verb::Read, &what, leases.get_opt(name)).await? else {
            return Ok(SeatState::Absent);
        };
        let record = followed_record(&lease)
            .ok_or_else(|| WriteError::Unknown(format!("{what}: the answer has no UID").into()))?;
        Ok(SeatState::Present(record))
    }
}

/// Whether a seat is still this one at this term. A Lease of others that counts no transitions says only that it is this one.
pub fn stands(seat: &SeatState, uid: &Uid, term: Term) -> bool {
    seat.record().is_some_and(|record| {
        let as_decided = match &record.followed {
            Some(_) => record.term.is_none_or(|now| now == term),
            None => record.sealed().is_some_and(|marks| marks.term == term),
        };
        record.uid == *uid && as_decided
    })
}

/// How a group looks at the cluster, for live reads.
#[derive(Clone, Debug)]
pub struct Sight {
    /// At pods.
    pub lens: Lens,
    /// The Lease it follows in its own namespace; `None`: its seat is one of ours.
    pub lease: Option<Arc<str>>,
}

async fn read_named(api: &Api<WirePod>, name: &str, lens: &Lens) -> Result<Option<MemberView>, WriteError> {
    let what = format!("read pod {name}");
    let found = with_deadline(Verb::Read, &what, api.get_opt(name)).await?;
    let pod = found.and_then(|pod| PodLite::new(&pod, &mut Interner::default()));
    Ok(pod.map(|pod| to_member_view(&pod, lens)))
}

async fn read_pod(
    api: &Api<WirePod>,
    wanted: &MemberRef,
    lens: &Lens,
) -> Result<(Uid, Option<MemberView>), WriteError> {
    let what = format!("read pod {}", wanted.name);
    let found = with_deadline(Verb::Read, &what, api.get_opt(&wanted.name)).await?;
    // A pool for one pod: nothing is shared, and nothing is kept.
    let pod = found.and_then(|pod| PodLite::new(&pod, &mut Interner::default()));
    let member = pod.filter(|pod| pod.is(&wanted.uid)).map(|pod| to_member_view(&pod, lens));
    Ok((wanted.uid.clone(), member))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hotstandby_core::reason::Reason;
    use hotstandby_core::seat::{SeatMarks, SeatRecord};

    fn seat(term: u64) -> SeatRecord {
        SeatRecord {
            uid: "seat".into(),
            rv: "1".into(),
            holder: Some("web-0".into()),
            term: Some(Term(term)),
            marks: Some(SeatMarks {
                group_uid: "g".into(),
                holder_uid: "p0".into(),
                holder_name: "web-0".into(),
                term: Term(term),
                reason: Reason::Initial,
                since_ms: 0,
                previous: Vec::new(),
            }),
            controller: None,
            followed: None,
        }
    }

    #[test]
    fn a_seat_that_moved_was_edited_or_made_anew_does_not_stand() {
        let stands = |record: SeatRecord| stands(&SeatState::Present(record), &"seat".into(), Term(7));
        assert!(stands(seat(7)));
        assert!(!stands(seat(8)));
        assert!(!stands(SeatRecord { uid: "another".into(), ..seat(7) }));
        assert!(!stands(SeatRecord { holder: Some("web-1".into()), ..seat(7) }));
        assert!(!super::stands(&SeatState::Absent, &"seat".into(), Term(7)));
    }
}
