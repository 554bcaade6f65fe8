//! Who descends from whom, read from `/proc`, and how all of it is killed.
//!
//! The keeper is a subreaper: a process whose parent died becomes its child, however it daemonised. So what
//! descends from the keeper, the elector aside, is the command with all it ever started.

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::Path;

/// One process as `/proc` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    /// Its ID.
    pub(crate) pid: i32,
    /// Its parent's.
    pub(crate) parent: i32,
    /// Its group's.
    pub(crate) group: i32,
    /// It is dead and waits to be reaped.
    pub(crate) zombie: bool,
}

/// All processes there are to see.
pub(crate) fn all() -> io::Result<Vec<Process>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // Gone between the listing and the look: then it is no process any more.
        if let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) {
            found.extend(parse_stat(pid, &stat));
        }
    }
    Ok(found)
}

/// Reads a line of `/proc/PID/stat`. The name in it is in brackets and may hold anything, brackets too.
fn parse_stat(pid: i32, stat: &str) -> Option<Process> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let zombie = matches!(fields.next()?, "Z" | "X" | "x");
    Some(Process { pid, parent: fields.next()?.parse().ok()?, group: fields.next()?.parse().ok()?, zombie })
}

/// What descends from `root`, without `except` and what descends from that.
pub(crate) fn descendants(all: &[Process], root: i32, except: Option<i32>) -> Vec<Process> {
    let mut children: HashMap<i32, Vec<Process>> = HashMap::new();
    for process in all {
        children.entry(process.parent).or_default().push(*process);
    }
    let mut found = Vec::new();
    let mut seen = HashSet::from([root]);
    let mut parents = vec![root];
    while let Some(parent) = parents.pop() {
        for child in children.get(&parent).into_iter().flatten() {
            // A listing is no snapshot: numbers used again could make a ring.
            if Some(child.pid) != except && seen.insert(child.pid) {
                found.push(*child);
                parents.push(child.pid);
            }
        }
    }
    found
}

/// Those whose environment carries `mark`, except these.
///
/// For the one case in which descent tells nothing any more: the keeper is dead, and its orphans went to somebody else.
pub(crate) fn marked(all: &[Process], mark: &str, except: &[i32]) -> Vec<Process> {
    let carries = |process: &&Process| {
        let environment = fs::read(format!("/proc/{}/environ", process.pid)).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes())
    };
    all.iter().filter(|process| !except.contains(&process.pid)).filter(carries).copied().collect()
}

/// SIGKILL to each that still lives; returns how many could not be killed.
pub(crate) fn kill_each(processes: &[Process]) -> usize {
    let refused = |process: &&Process| {
        let outcome = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
        !matches!(outcome, Ok(()) | Err(Errno::ESRCH))
    };
    processes.iter().filter(|process| !process.zombie).filter(refused).count()
}

/// SIGKILL to everything in this PID namespace except its first process and ourselves.
///
/// Only where the keeper is that first process: then all of it is the container's. One call that nothing can
/// outrun by forking.
pub(crate) fn kill_everything() {
    // Nobody there to kill is as good.
    let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
}

/// Whether `/proc` shows us to ourselves; without it nothing can be promised about daemonised children.
pub(crate) fn visible() -> bool {
    Path::new("/proc/self/stat").exists() && Path::new("/proc/self/exe").exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, parent: i32) -> Process {
        Process { pid, parent, group: pid, zombie: false }
    }

    fn pids(found: &[Process]) -> Vec<i32> {
        let mut pids: Vec<_> = found.iter().map(|process| process.pid).collect();
        pids.sort_unstable();
        pids
    }

    #[test]
    fn name_with_brackets_and_blanks_does_not_hide_a_process() {
        let stat = "42 (a) S 1 (b) c) Z 7 42 7 0 -1 4194304 0";
        let expected = Process { pid: 42, parent: 7, group: 42, zombie: true };
        assert_eq!(parse_stat(42, stat), Some(expected));
        assert_eq!(parse_stat(42, "42 (cut"), None);
    }

    #[test]
    fn grandchildren_count_and_the_elector_with_its_own_does_not() {
        let all = [
            process(1, 0),
            process(10, 1),
            process(11, 10),
            process(12, 11),
            process(20, 10),
            process(21, 20),
        ];
        assert_eq!(pids(&descendants(&all, 10, Some(20))), [11, 12]);
        assert_eq!(pids(&descendants(&all, 10, None)), [11, 12, 20, 21]);
        assert_eq!(pids(&descendants(&all, 12, None)), [0; 0]);
    }

    #[test]
    fn ring_in_a_torn_listing_does_not_hang() {
        let all = [process(11, 10), process(12, 11), process(10, 12)];
        assert_eq!(pids(&descendants(&all, 10, None)), [11, 12]);
    }

    #[test]
    fn this_process_is_found_under_its_parent() {
        let me = i32::try_from(std::process::id()).unwrap();
        let all = all().unwrap();
        let mine = all.iter().find(|process| process.pid == me).unwrap();
        assert!(descendants(&all, mine.parent, None).contains(mine));
        assert!(!mine.zombie);
    }
}
