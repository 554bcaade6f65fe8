//! Rules taken out, one at a time, from the outside: what the machine sees or says is bent, never the machine itself.

/// The rule that is missing in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bend {
    /// All rules hold.
    Nothing,
    /// The deadlines count from the renewal's answer instead of its send.
    CountFromAnswer,
    /// The lease is released when the command is told to end, not when it is dead.
    ReleaseBeforeReaped,
    /// A record with our name is ours.
    NameIsEnough,
    /// A candidate goes by its own duration, whatever the record says.
    OwnDurationOnly,
    /// A 504 is taken for a success instead of being looked into.
    UnknownIsStored,
    /// The killer is not there.
    NoKiller,
    /// The elector leaves all killing to the killer.
    NoKillByWrapper,
    /// The command is started although its time has passed.
    LateStart,
    /// Leases are written without a resourceVersion.
    NoVersion,
    /// A record seen for the first time is as old as its timestamp says.
    TimestampsBelieved,
    /// A Lease that vanished is made anew at once.
    VanishedIsFree,
    /// The command that ended is all that there is to kill.
    DaemonsOverlooked,
    /// No time is left for the kill itself.
    NoMargin,
}

/// Every rule that a run must be seen to need.
pub(super) const ALL: [Bend; 13] = [
    Bend::CountFromAnswer,
    Bend::ReleaseBeforeReaped,
    Bend::NameIsEnough,
    Bend::OwnDurationOnly,
    Bend::UnknownIsStored,
    Bend::NoKiller,
    Bend::NoKillByWrapper,
    Bend::LateStart,
    Bend::NoVersion,
    Bend::TimestampsBelieved,
    Bend::VanishedIsFree,
    Bend::DaemonsOverlooked,
    Bend::NoMargin,
];
