//! The sections of the document: tables, and how to read them.

use crate::report::tables::{self, Results};

/// A section. It is left out if nothing was measured for it.
pub(crate) struct Section {
    /// Its heading.
    pub(crate) heading: &'static str,
    /// What stands before its tables.
    pub(crate) lead: &'static str,
    /// Its tables.
    tables: &'static [fn(&Results<'_>) -> String],
    /// How to read them.
    pub(crate) notes: &'static str,
}

impl Section {
    /// Its tables, without those that have no line.
    pub(crate) fn render_tables(&self, results: &Results<'_>) -> Vec<String> {
        let rendered = self.tables.iter().map(|render| render(results));
        rendered.filter(|table| !table.is_empty()).collect()
    }
}

/// All sections with tables of what was measured.
pub(crate) const SECTIONS: [Section; 6] = [
    Section { heading: "Gaps", lead: "", tables: &[tables::render_gaps], notes: GAPS },
    Section { heading: "Goals", lead: "", tables: &[tables::render_goals], notes: "" },
    Section {
        heading: "Where the time goes",
        lead: "Milliseconds, p50 / p99 of each stage by itself.\n\n",
        tables: &[tables::render_stages],
        notes: STAGES,
    },
    Section {
        heading: "The old active's connections",
        lead: "",
        tables: &[tables::render_connections],
        notes: CONNECTIONS,
    },
    Section { heading: "Moving over", lead: "", tables: &[tables::render_migrations], notes: MIGRATIONS },
    Section {
        heading: "The gatekeeper",
        lead: "",
        tables: &[tables::render_elections, tables::render_requests, tables::render_memory],
        notes: GATEKEEPER,
    },
];

/// How to read the gaps.
const GAPS: &str = "\
- **Gap**: from just before the fault to the end of the first whole answer by another pod, for a client that opens a new
  connection every 5 ms through the ClusterIP on a node that is not the victim's. It includes up to one such period.
- **p99** is the nearest rank: of fewer than 100 trials it is the largest. \"none\": no other pod answered within the limit.
- **Floor**: what the platform needs for one write of a slice, in the same run. **× floor** compares medians.
- **Failed requests**: all that ended after the fault without a whole answer, over all trials. A request may wait for 300 ms for
  its connection and for 400 ms in all.
- **Longest without an answer**: from the start of the first request that failed to the end of the next answered one.
- **Doubled**: requests begun after the new pod's first answer had ended that the old pod answered; watched for 1.1 s.
";

/// How to read the stages.
const STAGES: &str = "\
- **notice**: from the fault to hotstandby's first sign of it (a connection that broke, the first probe that failed, an event).
- **detect**: from the first sign to the proof. **decide**: from the proof to the sending of the seat's write.
- **seat**: the write of the Lease. **traffic**: the write of the slice. Both with the API server's answer.
- **platform**: from the slice's stored write to the end of the first answer: watch, kube-proxy, nftables, the client's period.
  It is below zero where the client was answered before hotstandby had taken in the answer to its write.
- detect to traffic are hotstandby's own words (`status.history`). What lies before and after is told apart by the time of the
  seat's write, which is kept in whole milliseconds. The floor has no stages but its write and the rest.
";

/// What was done to connections.
const CONNECTIONS: &str = "\
A connection through the ClusterIP to the active, over which a word is said and answered every 20 ms. From just before the annotation
`hotstandby.dev/switchover` is patched to the end of the connection. kube-proxy ends none: it lasts until the app or its end closes it.
";

/// What users of older systems had and have.
const MIGRATIONS: &str = "\
Users' manifests (`crates/e2e/manifests`), unchanged. **Before**: led by a stand-in for the older system's controller, written from
a description of its behaviour, hotstandby away. **Now**: led by hotstandby with default timing and what the migration page says to apply.
**Nobody answers for**: the longest stretch between two answers that a client sees which opens a connection every 5 ms, p50 / max over the trials;
\"none\": no answer within 90 s (30 s after a kill). **Moved**: in how many trials it was another pod that answered then; in the others the killed
process itself was back before anybody moved. A node that is off is switched on again after the trial, so that pods come back by themselves.
";

/// How to read the gatekeeper's tables.
const GATEKEEPER: &str = "\
- Three pods behind a gatekeeper; the command notes every 2 ms that it lives, on the machine's boot clock. What is told is
  the time from the **last sign of life of one command to the first of the next**, start of the command included. A trial in which two
  lived at once, or a term did not rise, is invalid.
- **Lease** is duration, renew deadline and retry period. The shorter one is the shortest that hotstandby-await takes.
- **Holder's pod deleted**: SIGTERM, the command ends at once, the lease is released. **Vanishes**: all processes of the container are
  stopped and never go on, so that nothing is released and nothing restarts. It takes the lease's duration from the last renewal on.
- **client-go's election**: a program of client-go's leader election alone, with ReleaseOnCancel. Without that option, which
  gatekeepers made of it often lack, a deletion costs what vanishing costs.
- **Requests**: get, list and watch are reads; stored and refused writes are writes. A watch counts when it ends.
  Waiting: three more members, divided by three. hotstandby's controller is away meanwhile, as it reads Leases, too.
- **Memory**: of a pod's container that waits, after at least 15 s of it. **Resident**: all its processes, pages that they share
  counted once (PSS). **Working set**: what is charged to its cgroup, the kernel's part included, without file pages nobody has used of
  late, as `kubectl top` tells it; the program's own pages are charged to whoever touched them first, often the container runtime.
";
