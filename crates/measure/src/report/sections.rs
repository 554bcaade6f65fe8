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
    Section {
        heading: "Migration from older systems",
        lead: "",
        tables: &[tables::render_migrations],
        notes: MIGRATIONS,
    },
    Section {
        heading: "The gatekeeper",
        lead: "",
        tables: &[tables::render_elections, tables::render_requests, tables::render_memory],
        notes: GATEKEEPER,
    },
];

/// How to read the gaps.
const GAPS: &str = "\
- **Gap**: the time from just before the fault to the end of the first whole answer by another pod, for a client that opens a new
  connection every 5 ms through the ClusterIP on a node that is not the victim's. It includes up to one such period.
- **p99** is the nearest rank: with fewer than 100 trials it is the largest value. \"none\": no other pod answered within the limit.
- **Floor**: what the platform needs for one write of a slice, in the same run. **× floor** compares medians.
- **Failed requests**: all requests of all trials that ended after the fault without a whole answer. A request times out after
  300 ms without a connection, and after 400 ms in all.
- **Longest without an answer**: from the start of the first request that failed to the end of the next answered one.
- **Doubled**: requests that the old pod answered although they began after the new pod's first answer. The client continues for
  1.1 s after that answer.
";

/// How to read the stages.
const STAGES: &str = "\
- **notice**: from the fault to hotstandby's first sign of it (a connection that broke, the first probe that failed, an event).
- **detect**: from the first sign to the proof. **decide**: from the proof to the sending of the seat's write.
- **seat**: the write of the Lease. **traffic**: the write of the slice. Both with the API server's answer.
- **platform**: from the slice's stored write to the end of the first answer: watch, kube-proxy, nftables, the client's period.
  It is negative if the client was answered before hotstandby received the answer to its write.
- detect, decide, seat and traffic are reported by hotstandby (`status.history`). notice and platform follow from the time of the
  seat's write, which is kept in whole milliseconds. The floor has only two stages: its write, and the rest.
";

/// How to read the times of connections.
const CONNECTIONS: &str = "\
A client holds a connection through the ClusterIP to the active and exchanges a message over it every 20 ms. The time counts from just
before the annotation `hotstandby.dev/switchover` is patched to the end of the connection. kube-proxy does not end connections: a
connection lasts until the app closes it or ends.
";

/// How to read the outages of users of older systems.
const MIGRATIONS: &str = "\
The manifests of users (`crates/e2e/manifests`) are applied unchanged. **Before**: the controller is a stand-in for that of the older system,
written from a description of its behaviour, and hotstandby is not running. **Now**: hotstandby is in charge, with default timing and what the
migration page says to apply. **Outage**: the longest time between two answers for a client that opens a connection every 5 ms, p50 / max over
the trials; \"none\": no answer within 90 s (30 s after a kill). **Moved**: in how many trials another pod answered after the outage; in the
others the killed process had restarted before traffic moved. A node that lost power is switched on after the trial, so that its pods restart.
";

/// How to read the gatekeeper's tables.
const GATEKEEPER: &str = "\
- Three pods run behind a gatekeeper, and the command records every 2 ms, by the machine's boot clock, that it runs. The time counts from
  the **last record of one command to the first record of the next**, and so includes the command's start. A trial is invalid if two
  commands ran at the same time, or if the term did not rise.
- **Lease** is duration, renew deadline and retry period. The shorter one is the shortest that hotstandby-await takes.
- **Holder's pod deleted**: after SIGTERM the command ends immediately and the Lease is released. **Holder stops without a release**: all
  processes of the container are stopped for good, so that nothing is released and nothing restarts. The Lease then lasts for its duration
  after the last renewal.
- **client-go's election**: a program that consists of client-go's leader election with ReleaseOnCancel. Gatekeepers based on client-go often
  lack that option; then a deletion takes as long as a stop without a release.
- **Requests**: get, list and watch are reads; stored and refused writes are writes. A watch counts when it ends. **Waiting** is the
  difference that three more members make, divided by three. hotstandby is not running meanwhile, because it reads Leases too.
- **Memory**: of the container of a waiting member, after at least 15 s. **Resident**: all its processes; pages that they share are counted
  once (PSS). **Working set**: what is charged to its cgroup, as `kubectl top` shows it, which includes the kernel's part and excludes file
  pages that were not used recently. The program's own pages are charged to whichever process used them first, often the container runtime.
";
