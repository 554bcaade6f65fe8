//! What a member's container weighs.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::scene::Members;

/// In bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weight {
    /// All its processes together: pages that several map count once (PSS).
    pub resident: u64,
    /// Charged to its cgroup, the kernel's part included, without file pages nobody has used of late.
    pub working_set: u64,
    /// The gatekeeper's file.
    pub program: u64,
}

impl Members {
    /// Weighs the container of a pod.
    pub async fn weigh(&self, pod: &str) -> Result<Weight> {
        let processes = self.processes(pod).await?;
        let mut resident = 0;
        for pid in &processes.all {
            let path = format!("/proc/{pid}/smaps_rollup");
            let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
            resident += proportional(&text).with_context(|| format!("{path} tells no Pss"))?;
        }
        ensure!(resident > 0, "the container of pod {pod} has no process");
        let working_set = self.env.cluster.faults().container_memory(&processes.keeper)?;
        let program = format!("/proc/{}/exe", processes.keeper.pid);
        let program =
            fs::metadata(Path::new(&program)).with_context(|| format!("looking at {program}"))?.len();
        Ok(Weight { resident, working_set, program })
    }
}

/// `Pss:   1234 kB`
fn proportional(rollup: &str) -> Option<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_shared_pages_is_read_and_nothing_like_it() {
        let rollup =
            "00400000-7fff ---p 00000000 00:00 0 [rollup]\nRss:  9000 kB\nPss:  3000 kB\nPss_Anon: 5 kB\n";
        assert_eq!(proportional(rollup), Some(3000 * 1024));
        assert_eq!(proportional("Pss_Anon: 5 kB\n"), None);
    }
}
