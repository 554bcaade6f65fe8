//! What is done to the world: a schedule made from the seed alone, so that parts of it can be left out.

use super::rng::Rng;
use std::time::Duration;

/// One entry of a schedule.
#[derive(Clone, Debug)]
pub(super) struct Op {
    /// How long the world runs by itself before it.
    pub(super) after: Duration,
    pub(super) what: What,
}

/// Numbers are taken modulo what there is, so that every op fits every world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Pod(u8, PodOp),
    Node(u8, NodeOp),
    Replica(u8, ReplicaOp),
    Seat(SeatOp),
    Slice(u8, SliceOp),
    Service(u8, ServiceOp),
    Group(GroupOp),
    /// Time jumps to the next deadline of any replica.
    ToDeadline,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PodOp {
    Create,
    /// With the address of a pod that is gone.
    CreateReusing(u8),
    Delete {
        grace_ms: u16,
    },
    DeleteAtOnce,
    Unready,
    Ready,
    Serve,
    Refuse,
    Hang,
    AnswerWrongly,
    Fail,
    LoseAddress,
    Deselect,
    Select,
    Priority(u8),
    CriticalEnds,
    /// Somebody writes its role label, or another's marks.
    Relabel(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NodeOp {
    /// Off; its pods answer nobody, and the node controller notices after this.
    Down {
        noticed_ms: u16,
    },
    Up,
    /// The node controller marks this and the following nodes although nothing is wrong with them.
    Ill {
        count: u8,
        for_ms: u16,
    },
    Gone,
    OutOfService,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReplicaOp {
    Restart,
    Freeze { ms: u16 },
    Lead(bool),
    ApiSlow { ms: u16 },
    ApiLossy { ms: u16 },
    ApiDown { ms: u16 },
    ApiRefuses { ms: u16 },
    WatchStalls { kind: u8, ms: u16 },
    WatchDrops { ms: u16 },
    StaleViews,
    CutFromNode { node: u8, ms: u16 },
    CutOff { ms: u16 },
    PeersSilent { ms: u16 },
    FalseTripwire,
    ClockGap,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SeatOp {
    Delete,
    EditHolder(u8),
    EditTerm(u8),
    DropMarks,
    Foreign,
    Ours,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SliceOp {
    Edit,
    EditTerm(u8),
    EditSeat,
    Delete,
    Foreign,
    Ours,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ServiceOp {
    Missing,
    Selector,
    Usable,
    OtherPort(u8),
    /// Somebody applies it anew, as it was written first.
    Reapply,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GroupOp {
    Pause,
    Resume,
    Switchover { to: Option<u8>, term_off: u8 },
    Bad,
    Good,
    Timing(u8),
    Clear(bool),
    Failback(bool),
    OtherProbe(u8),
    Anew,
}

impl What {
    /// For leaving out all of a kind at once.
    pub(super) fn kind(self) -> String {
        let text = format!("{self:?}");
        text.split(['{', ' '])
            .next()
            .unwrap_or_default()
            .trim_end_matches(|c: char| !c.is_alphabetic())
            .into()
    }
}

/// Which kinds of trouble a run sees: fewer kinds at once find more.
#[derive(Clone, Copy, Debug)]
struct Mix([u64; 8]);

/// The schedule of a seed.
pub(super) fn schedule(rng: &mut Rng) -> Vec<Op> {
    let count = rng.between(20, 110);
    let mut mix = Mix([30, 10, 24, 6, 6, 3, 8, 12]);
    for weight in &mut mix.0 {
        match rng.below(4) {
            0 => *weight = 0,
            1 => *weight *= 3,
            _ => {}
        }
    }
    mix.0[7] += 1;
    let hasty = rng.chance(50);
    (0..count).map(|_| Op { after: pause(rng, hasty), what: what(rng, mix) }).collect()
}

fn pause(rng: &mut Rng, hasty: bool) -> Duration {
    match rng.below(if hasty { 8 } else { 12 }) {
        0..=2 => rng.ms(0, 6),
        3..=7 => rng.ms(0, 350),
        _ => rng.ms(300, 4_000),
    }
}

fn what(rng: &mut Rng, mix: Mix) -> What {
    let mut at = rng.below(mix.0.iter().sum());
    let kind = mix.0.iter().position(|weight| {
        let here = at < *weight;
        at = at.saturating_sub(*weight);
        here
    });
    match kind {
        Some(0) => What::Pod(rng.byte(), pod(rng)),
        Some(1) => What::Node(rng.byte(), node(rng)),
        Some(2) => What::Replica(rng.byte(), replica(rng)),
        Some(3) => What::Seat(seat(rng)),
        Some(4) => What::Slice(rng.byte(), slice(rng)),
        Some(5) => What::Service(rng.byte(), service(rng)),
        Some(6) => What::Group(group(rng)),
        _ => What::ToDeadline,
    }
}

fn millis(rng: &mut Rng, from: u64, to: u64) -> u16 {
    u16::try_from(rng.between(from, to)).expect("below a minute")
}

fn pod(rng: &mut Rng) -> PodOp {
    match rng.below(26) {
        0 | 1 => PodOp::Create,
        2 | 3 => PodOp::CreateReusing(rng.byte()),
        4..=6 => PodOp::Delete { grace_ms: millis(rng, 0, 3_000) },
        7 => PodOp::DeleteAtOnce,
        8 | 9 => PodOp::Unready,
        10 | 11 => PodOp::Ready,
        12..=14 => PodOp::Serve,
        15 | 16 => PodOp::Refuse,
        17 => PodOp::Hang,
        18 => PodOp::AnswerWrongly,
        19 => PodOp::Fail,
        20 => PodOp::LoseAddress,
        21 => rng.pick(&[PodOp::Deselect, PodOp::Select]),
        22 => PodOp::Priority(rng.byte()),
        23 | 24 => PodOp::Relabel(rng.byte()),
        _ => PodOp::CriticalEnds,
    }
}

fn node(rng: &mut Rng) -> NodeOp {
    match rng.below(11) {
        0..=2 => NodeOp::Down { noticed_ms: millis(rng, 500, 5_000) },
        3..=5 => NodeOp::Up,
        6 | 9 | 10 => {
            let count = if rng.chance(60) { 0 } else { rng.byte() };
            NodeOp::Ill { count, for_ms: millis(rng, 500, 20_000) }
        }
        7 => NodeOp::Gone,
        _ => NodeOp::OutOfService,
    }
}

fn replica(rng: &mut Rng) -> ReplicaOp {
    match rng.below(20) {
        0 | 1 => ReplicaOp::Restart,
        2 | 3 => ReplicaOp::Freeze { ms: millis(rng, 50, 20_000) },
        4..=6 => ReplicaOp::Lead(rng.chance(60)),
        7 => ReplicaOp::ApiSlow { ms: millis(rng, 100, 8_000) },
        8 | 9 => ReplicaOp::ApiLossy { ms: millis(rng, 100, 8_000) },
        10 => ReplicaOp::ApiDown { ms: millis(rng, 100, 8_000) },
        11 => ReplicaOp::ApiRefuses { ms: millis(rng, 100, 5_000) },
        12 | 13 => ReplicaOp::WatchStalls { kind: rng.byte(), ms: millis(rng, 20, 8_000) },
        14 => ReplicaOp::WatchDrops { ms: millis(rng, 100, 5_000) },
        15 => ReplicaOp::StaleViews,
        16 => ReplicaOp::CutFromNode { node: rng.byte(), ms: millis(rng, 500, 8_000) },
        17 => ReplicaOp::CutOff { ms: millis(rng, 500, 10_000) },
        18 => rng.pick(&[ReplicaOp::PeersSilent { ms: 5_000 }, ReplicaOp::FalseTripwire]),
        _ => rng.pick(&[ReplicaOp::FalseTripwire, ReplicaOp::ClockGap]),
    }
}

fn seat(rng: &mut Rng) -> SeatOp {
    match rng.below(9) {
        0..=2 => SeatOp::Delete,
        3 | 4 => SeatOp::EditHolder(rng.byte()),
        5 => SeatOp::EditTerm(rng.byte()),
        6 => SeatOp::DropMarks,
        7 => SeatOp::Foreign,
        _ => SeatOp::Ours,
    }
}

fn slice(rng: &mut Rng) -> SliceOp {
    match rng.below(8) {
        0 | 1 => SliceOp::Edit,
        2 => SliceOp::EditTerm(rng.byte()),
        3 => SliceOp::EditSeat,
        4 | 5 => SliceOp::Delete,
        6 => SliceOp::Foreign,
        _ => SliceOp::Ours,
    }
}

fn service(rng: &mut Rng) -> ServiceOp {
    match rng.below(8) {
        6 | 7 => ServiceOp::Reapply,
        0 => ServiceOp::Missing,
        1 => ServiceOp::Selector,
        2 => ServiceOp::OtherPort(rng.byte()),
        _ => ServiceOp::Usable,
    }
}

fn group(rng: &mut Rng) -> GroupOp {
    match rng.below(20) {
        0 | 1 => GroupOp::Pause,
        2..=4 => GroupOp::Resume,
        5..=9 => GroupOp::Switchover {
            to: rng.chance(60).then(|| rng.byte()),
            term_off: if rng.chance(80) { 0 } else { rng.byte() },
        },
        10 => GroupOp::Bad,
        11 | 12 => GroupOp::Good,
        13 | 14 => GroupOp::Timing(rng.byte()),
        15 => GroupOp::Clear(rng.chance(50)),
        16 | 17 => GroupOp::Failback(rng.chance(60)),
        18 => GroupOp::OtherProbe(rng.byte()),
        _ => rng.pick(&[GroupOp::Anew, GroupOp::Good, GroupOp::Resume]),
    }
}
