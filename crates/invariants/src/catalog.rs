//! The words of each invariant: `docs/invariants.md` is made of them.

use crate::invariant::{Invariant, Ring};

/// How a ring checks an invariant: the ring, and what is checked there, as a part of a sentence.
pub type Check = (Ring, &'static str);

impl Invariant {
    /// All invariants, in the order of their ids.
    pub const ALL: [Self; 8] = [
        Self::OneActive,
        Self::OneProcess,
        Self::TermsGrow,
        Self::Converges,
        Self::Silent,
        Self::RecordedReason,
        Self::OwnObjectsOnly,
        Self::LeavesNothing,
    ];

    /// The id that tests, messages and decision records use.
    pub const fn id(self) -> &'static str {
        match self {
            Self::OneActive => "I1",
            Self::OneProcess => "I2",
            Self::TermsGrow => "I3",
            Self::Converges => "I4",
            Self::Silent => "I5",
            Self::RecordedReason => "I6",
            Self::OwnObjectsOnly => "I7",
            Self::LeavesNothing => "I8",
        }
    }

    /// What it is about, in a few words.
    pub const fn title(self) -> &'static str {
        match self {
            Self::OneActive => "Traffic leads to one pod, the active",
            Self::OneProcess => "The protected command never runs twice",
            Self::TermsGrow => "Terms only grow",
            Self::Converges => "One active is served once the trouble is over",
            Self::Silent => "A group at rest writes nothing",
            Self::RecordedReason => "No failover without a true reason",
            Self::OwnObjectsOnly => "Objects of others are left alone",
            Self::LeavesNothing => "Whatever is switched on is switched off again",
        }
    }

    /// What is promised, in plain words.
    pub const fn promise(self) -> &'static str {
        match self {
            Self::OneActive => {
                "For each Service and address family, all EndpointSlices together never hold more than one endpoint. That endpoint names a \
                 pod that exists, at an address that the pod has, and that pod held the seat at the term that the slice carries. Where \
                 traffic follows labels or a selector instead, they lead only to a pod that held the seat at the term that is marked \
                 beside them, and hotstandby never labels a second pod active."
            }
            Self::OneProcess => {
                "With the gatekeeper (`election.mode: Pods`), no two members run the protected command at the same instant. This holds \
                 under any pause of the gatekeeper's processes, of the container runtime, of the network or of the API server, and with \
                 any clock within the stated rate. The command of a member that loses its Lease is dead and reaped before another member \
                 can take the Lease."
            }
            Self::TermsGrow => {
                "Within one seat, which is one UID of the Lease, terms never go back, and no term has two holders. Every projection \
                 carries the seat and the term that it follows. A slice never goes back to an older term of the same seat, nor to an older \
                 seat of the same group; marks on pods and Services never go back to an older term of the same seat. A seat that \
                 hotstandby makes again begins above every term that it has seen."
            }
            Self::Converges => {
                "Once all faults have stopped, the API server answers and at least one pod can serve, exactly one active pod is served by \
                 all Services of the group within a stated time."
            }
            Self::Silent => {
                "Once a group has converged and nothing changes, hotstandby writes nothing: no Lease, no slice, no label, no status and no \
                 Event. Its decision asks for nothing but the probes."
            }
            Self::RecordedReason => {
                "Every change of the active pod has a recorded reason, and that reason was true. No failover is caused only by an API \
                 server, a watch, the node controller or a replica of hotstandby that is ill or away."
            }
            Self::OwnObjectsOnly => {
                "Objects that did not opt in are never written. A Service cannot make hotstandby touch a pod that does not belong to the \
                 group. Two installations never fight over one group: what carries the mark of another installation is left as it is, and a \
                 Lease by which others elect is only read."
            }
            Self::LeavesNothing => {
                "Removing a group removes its labels, slices, selectors and the seat that was made for it, without finalizers; if no \
                 replica was running at that time, this happens at the next start. Each deletion names the UID and the resourceVersion \
                 that were read. With `deletionPolicy: Orphan` traffic stays as it is."
            }
        }
    }

    /// Where it is checked, and what each ring checks.
    pub const fn checks(self) -> &'static [Check] {
        match self {
            Self::OneActive => &[
                (
                    Ring::Cases,
                    "each slice, label and selector that the group asks to write, against the pods as they are",
                ),
                (Ring::Driver, "each slice, label and selector, when it is asked for and when it is stored"),
                (Ring::Demo, "each stored version of the slices of the demo's Service"),
                (
                    Ring::EndToEnd,
                    "each stored version of every slice of a test's namespace; labels, selectors and the slices of the endpoint \
                     controller where the test asks for it",
                ),
            ],
            Self::OneProcess => &[
                (Ring::Gatekeeper, "at each start of a command, nothing of another command lives"),
                (
                    Ring::Processes,
                    "frozen and killed processes of the real gatekeeper, with a look every few milliseconds",
                ),
                (
                    Ring::EndToEnd,
                    "the commands in the pods report when they run, under each fault that the tests make",
                ),
            ],
            Self::TermsGrow => &[
                (Ring::Cases, "each seat, slice, label and selector that the group asks to write"),
                (Ring::Driver, "each stored write of hotstandby, also over what strangers have edited"),
                (
                    Ring::Gatekeeper,
                    "each stored write of the Lease, and the terms of the commands that start",
                ),
                (Ring::Demo, "each stored version of the seat and of the slices"),
                (
                    Ring::EndToEnd,
                    "each stored version of the seats and slices; of marks where the test asks for it",
                ),
            ],
            Self::Converges => &[
                (Ring::Driver, "at the end of each run, within 40 s, and 61 s more if most nodes had turned"),
                (Ring::Gatekeeper, "at the end of each run, a command runs within six leases and 12 s"),
                (Ring::EndToEnd, "each test waits for the active that it expects, with a limit"),
            ],
            Self::Silent => &[
                (Ring::Cases, "`quiet`: time passes with probes, and nothing may be asked for"),
                (Ring::Driver, "after each run has converged, nothing may be asked for in 40 s"),
                (Ring::EndToEnd, "a steady group writes nothing while a test watches it"),
            ],
            Self::RecordedReason => &[
                (Ring::Cases, "each seat write has a reason that is so in the world"),
                (
                    Ring::Driver,
                    "each seat write has a reason that was really so within 3.5 s, whatever the API server said",
                ),
                (
                    Ring::EndToEnd,
                    "the number of moves, and the reason of each, under faults of the control plane",
                ),
            ],
            Self::OwnObjectsOnly => &[
                (
                    Ring::Cases,
                    "no write is asked for over the mark of another installation, and none to a followed Lease",
                ),
                (Ring::Driver, "the same, with marks and owners that change at any time"),
                (Ring::EndToEnd, "foreign slices, rights and admission policies on a real server"),
            ],
            Self::LeavesNothing => &[
                (
                    Ring::Units,
                    "the sweep of what groups that are gone have left, against a server that answers as it likes",
                ),
                (
                    Ring::EndToEnd,
                    "groups and annotations that are removed, with and without a running replica",
                ),
            ],
        }
    }

    /// What is not promised, one sentence or two each.
    pub const fn limits(self) -> &'static [&'static str] {
        match self {
            Self::OneActive => &[
                "It does not say when kube-proxy on each node has programmed a change: for some milliseconds nodes may differ.",
                "Open connections to the old active are not ended by a change of endpoints.",
                "A pod may be gone for a moment when a slice that names it is stored, because its writer had checked it just before.",
                "What the endpoint controller makes of a selector or a label is its own work; hotstandby only never leads it to two.",
                "What somebody else edits is repaired, and not prevented unless the admission policies are installed.",
            ],
            Self::OneProcess => &[
                "Without the gatekeeper, two pods may run at the same time; only one of them gets traffic.",
                "Where the command's own machine is frozen as a whole, or the command sleeps uninterruptibly, only the term protects: what \
                 the command writes to must refuse an older one.",
                "Members that follow the rules of another program, such as an older wait-for-election wrapper, have that program's guarantees.",
            ],
            Self::TermsGrow => &[
                "Terms of two seats do not compare: after a Lease was deleted, only the UID tells which one is newer.",
                "Where a stranger changed a seat's term and removed its marks as well, a replica that starts later cannot know what the term \
                 was.",
                "The owner of a followed election counts as it likes. Slices follow its counter, also when it is set back.",
            ],
            Self::Converges => &[
                "A pod that hangs and that no replica can prove to be hung stays active.",
                "With `order: Strict` nothing moves until the old active has acknowledged or is dead.",
                "No bound holds while the API server is away.",
            ],
            Self::Silent => &[
                "A failback that waits for a penalty to end is not silence for ever: it comes when the penalty is over.",
                "Probes and the watch connections go on.",
            ],
            Self::RecordedReason => &[
                "A true reason is not always a good one: a group can be told to move by a switchover or a failback.",
                "Where no probe is possible, a watch of nodes that lags behind that of pods lets the node controller's word stand alone.",
            ],
            Self::OwnObjectsOnly => &[
                "It does not protect against a user with the right to write the same objects.",
                "An object without any mark of an owner can be taken by the first installation that its user asks.",
            ],
            Self::LeavesNothing => &[
                "While no replica runs, what a removed group left stays where it is.",
                "Rights that were withdrawn before a group is removed are missing for its removal as well.",
            ],
        }
    }
}
