//! Reading seat and pods live, in parallel: what a cache says is not good enough to write a seat by.

use crate::call::{Verb, with_deadline};
use crate::pod::{Interner, Lens, PodLite, to_member_view};
use crate::seat::SeatStore;
use crate::wire::WirePod;
use futures::future::try_join_all;
use hotstandby_core::action::MemberRef;
use hotstandby_core::ids::{GroupKey, Uid};
use hotstandby_core::observation::{Live, WriteError};
use hotstandby_core::view::MemberView;
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

    /// Reads the group's seat and these pods at once. A pod that is not there, or is another under the same name,
    /// reads as none. One failed read fails all: half an answer proves nothing.
    pub async fn verify(&self, key: &GroupKey, pods: &[MemberRef], lens: &Lens) -> Result<Live, WriteError> {
        let api: Api<WirePod> = Api::namespaced(self.client.clone(), &key.namespace);
        let reads = try_join_all(pods.iter().map(|pod| read_pod(&api, pod, lens)));
        let (seat, pods) = futures::try_join!(self.seats.read(key), reads)?;
        Ok(Live { seat, pods })
    }
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
