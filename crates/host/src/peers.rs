//! The replicas know each other: who answers, who is the lead, and who sees a member healthy.
//!
//! The lead is the first by name among those that answer; alone, a replica is the lead. There is no agreement in
//! this: where A hears B but B does not hear A, both may be the lead. That costs a lost write, never a wrong one,
//! since every write carries its precondition.

use crate::context::HostContext;
use crate::peer_client::PeerClient;
use crate::wire::{Hello, SightingAnswer};
use futures::stream::{FuturesUnordered, StreamExt};
use hotstandby_core::ids::Uid;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// Between two hellos.
pub const HELLO_PERIOD: Duration = Duration::from_millis(500);
/// How long an answer to a hello may take.
pub const HELLO_TIMEOUT: Duration = Duration::from_millis(250);
/// How long peers are asked before a failover; silence vetoes nothing.
pub const ASK_TIMEOUT: Duration = Duration::from_millis(100);
/// Questions under way at once: a crowd of failovers must not open a crowd of connections.
const QUESTIONS: usize = 64;

/// Another replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerInfo {
    /// Its name: the pod's.
    pub name: Arc<str>,
    /// Its node, if known.
    pub node: Option<Arc<str>>,
    /// Its admin server.
    pub addr: SocketAddr,
}

/// The set of peers. Cheap to clone; the hellos end with the last clone.
#[derive(Clone)]
pub struct Peers {
    inner: Arc<Inner>,
}

struct Inner {
    ctx: Arc<HostContext>,
    own_name: Arc<str>,
    client: PeerClient,
    state: Mutex<State>,
    lead: watch::Sender<bool>,
    questions: Semaphore,
}

#[derive(Default)]
struct State {
    peers: BTreeMap<Arc<str>, Peer>,
    /// The lead was worked out from answers once; from then on an untried peer changes nothing.
    decided: bool,
}

struct Peer {
    info: PeerInfo,
    standing: Standing,
    hellos: JoinHandle<()>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.hellos.abort();
    }
}

/// Whether a peer answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Untried,
    Answering { missed: bool },
    Silent,
}

impl Standing {
    fn after(self, answered: bool) -> Self {
        match (self, answered) {
            (_, true) => Self::Answering { missed: false },
            (Self::Answering { missed: false }, false) => Self::Answering { missed: true },
            (_, false) => Self::Silent,
        }
    }

    fn answers(self) -> bool {
        matches!(self, Self::Answering { .. })
    }
}

impl Peers {
    /// Alone, and so the lead, until [`Peers::set`] says otherwise. Needs a tokio runtime around it.
    pub fn new(ctx: Arc<HostContext>, own_name: impl Into<Arc<str>>) -> Self {
        let (lead, _) = watch::channel(true);
        ctx.metrics.set_lead(true);
        let (own_name, client) = (own_name.into(), PeerClient::new());
        let questions = Semaphore::new(QUESTIONS);
        Self { inner: Arc::new(Inner { ctx, own_name, client, state: Mutex::default(), lead, questions }) }
    }

    /// From now on these are the peers; one with this replica's own name is left out.
    pub fn set(&self, peers: Vec<PeerInfo>) {
        let inner = &self.inner;
        let mut state = inner.state.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted: BTreeMap<_, _> = peers
            .into_iter()
            .filter(|info| info.name != inner.own_name)
            .map(|info| (Arc::clone(&info.name), info))
            .collect();
        state.peers.retain(|name, peer| wanted.get(name).is_some_and(|info| *info == peer.info));
        for (name, info) in wanted {
            state.peers.entry(name).or_insert_with(|| {
                let hellos = tokio::spawn(say_hello(Arc::downgrade(inner), info.clone()));
                Peer { info, standing: Standing::Untried, hellos }
            });
        }
        inner.publish(&mut state);
    }

    /// Whether this replica is the lead. While the first peers have not been tried yet, it is not.
    pub fn lead(&self) -> watch::Receiver<bool> {
        self.inner.lead.subscribe()
    }

    /// The peers that answer.
    pub fn answering(&self) -> Vec<PeerInfo> {
        let state = self.inner.state.lock().unwrap_or_else(PoisonError::into_inner);
        let answering = state.peers.values().filter(|peer| peer.standing.answers());
        answering.map(|peer| peer.info.clone()).collect()
    }

    /// Asks the peers that answer, for at most [`ASK_TIMEOUT`], whether they reach this member; answers the name
    /// of the first that does. Its success must have been sent after `failing_since`, and from a node other than
    /// the member's.
    pub async fn ask(
        &self,
        group: &str,
        uid: &Uid,
        node: Option<&str>,
        failing_since: Duration,
    ) -> Option<Arc<str>> {
        let questions =
            self.answering().into_iter().map(|peer| self.ask_one(peer, group, uid, node, failing_since));
        let mut answers: FuturesUnordered<_> = questions.collect();
        let first_veto = async {
            while let Some(answer) = answers.next().await {
                if answer.is_some() {
                    return answer;
                }
            }
            None
        };
        let veto = timeout(ASK_TIMEOUT, first_veto).await.ok().flatten();
        if veto.is_some() {
            self.inner.ctx.metrics.peer_vetoed();
        }
        veto
    }

    async fn ask_one(
        &self,
        peer: PeerInfo,
        group: &str,
        uid: &Uid,
        node: Option<&str>,
        failing_since: Duration,
    ) -> Option<Arc<str>> {
        let inner = &self.inner;
        let _place = inner.questions.acquire().await;
        let asked = inner.ctx.clock.mono();
        let answer = match inner.client.sighting(peer.addr, group, uid).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::debug!(peer = %peer.name, %error, "asked a peer in vain");
                return None;
            }
        };
        let peer_node = peer.node.as_deref().or(answer.node.as_deref());
        vetoes(&answer, peer_node, node, asked.saturating_sub(failing_since)).then_some(peer.name)
    }
}

/// Whether this answer holds a failover back. `failing_for`: how long the member had been failing when the
/// question was sent; the answer's age is of a later moment, so comparing the two can only err towards no veto.
fn vetoes(
    answer: &SightingAnswer,
    peer_node: Option<&str>,
    member_node: Option<&str>,
    failing_for: Duration,
) -> bool {
    let SightingAnswer { known, success, age_ms, node: _ } = *answer;
    let same_node = member_node.is_some() && peer_node == member_node;
    known && success && !same_node && Duration::from_millis(age_ms) < failing_for
}

impl Inner {
    fn heard(&self, name: &str, answered: bool) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(peer) = state.peers.get_mut(name) {
            let before = peer.standing;
            peer.standing = before.after(answered);
            if before.answers() != peer.standing.answers() {
                tracing::info!(peer = name, answers = peer.standing.answers(), "a peer's standing changed");
            }
            self.publish(&mut state);
        }
    }

    /// Under the lock, so that no older verdict is told after a newer one.
    fn publish(&self, state: &mut State) {
        let standings = state.peers.iter().map(|(name, peer)| (&**name, peer.standing));
        let lead = leads(&self.own_name, standings, state.decided);
        state.decided |= lead.is_some();
        let lead = lead.unwrap_or(false);
        self.ctx.metrics.set_lead(lead);
        self.lead.send_if_modified(|known| std::mem::replace(known, lead) != lead);
    }
}

/// Whether `own` is the first by name among those that answer; `None` while that cannot be said yet.
fn leads<'p>(own: &str, peers: impl Iterator<Item = (&'p str, Standing)>, decided: bool) -> Option<bool> {
    let mut first = true;
    for (name, standing) in peers {
        if standing == Standing::Untried && !decided {
            return None;
        }
        first &= !(standing.answers() && name < own);
    }
    Some(first)
}

/// Says hello to one peer for as long as it is in the set. Holds no strong reference between the rounds, so that
/// dropping the last [`Peers`] ends it.
async fn say_hello(inner: Weak<Inner>, peer: PeerInfo) {
    let mut round = interval(HELLO_PERIOD);
    round.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        round.tick().await;
        let Some(inner) = inner.upgrade() else { return };
        let clock = &inner.ctx.clock;
        let sent = clock.mono();
        let answer = timeout(HELLO_TIMEOUT, inner.client.hello(peer.addr)).await;
        let done = clock.mono();
        // Another under its address, after a restart say, is not it.
        let hello = answer.ok().and_then(Result::ok).filter(|hello: &Hello| *hello.name == *peer.name);
        if let Some(hello) = &hello {
            inner.ctx.vantage.note_success(peer.node.as_deref().or(hello.node.as_deref()), done);
        } else if clock.spans_gap(sent, done) {
            // It was this replica that was silent.
            continue;
        }
        inner.heard(&peer.name, hello.is_some());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UP: Standing = Standing::Answering { missed: false };

    #[test]
    fn one_lost_hello_topples_no_lead_and_two_do() {
        let once = UP.after(false);
        assert!(once.answers());
        assert!(!once.after(false).answers());
        assert!(once.after(true).after(false).answers());
        assert!(!Standing::Untried.after(false).answers());
        assert!(Standing::Silent.after(true).answers());
    }

    #[test]
    fn first_name_among_those_that_answer_leads() {
        assert_eq!(leads("a", [("b", UP)].into_iter(), false), Some(true));
        assert_eq!(leads("b", [("a", UP)].into_iter(), false), Some(false));
        assert_eq!(leads("b", [("a", Standing::Silent), ("c", UP)].into_iter(), false), Some(true));
        assert_eq!(leads("b", std::iter::empty(), false), Some(true), "alone");
    }

    #[test]
    fn newcomer_neither_leads_before_it_asked_nor_stops_the_lead_before_it_answered() {
        assert_eq!(leads("b", [("a", Standing::Untried)].into_iter(), false), None);
        assert_eq!(leads("b", [("a", Standing::Untried)].into_iter(), true), Some(true));
    }

    fn answer(success: bool, age_ms: u64) -> SightingAnswer {
        SightingAnswer { known: true, success, age_ms, node: None }
    }

    #[test]
    fn only_a_fresh_success_from_another_node_vetoes() {
        let failing_for = Duration::from_secs(1);
        let veto = |answer: &SightingAnswer, peer, member| vetoes(answer, peer, member, failing_for);
        assert!(veto(&answer(true, 999), Some("a"), Some("b")));
        assert!(!veto(&answer(true, 1_000), Some("a"), Some("b")), "sent before it began to fail");
        assert!(!veto(&answer(false, 10), Some("a"), Some("b")));
        assert!(!veto(&answer(true, 10), Some("b"), Some("b")), "nothing lies between");
        assert!(veto(&answer(true, 10), None, Some("b")), "outside the cluster");
        let unknown = SightingAnswer { known: false, ..answer(true, 10) };
        assert!(!veto(&unknown, Some("a"), Some("b")));
    }
}
