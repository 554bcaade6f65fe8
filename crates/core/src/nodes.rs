//! Whether the nodes are ill or the control plane that reports them.

use std::time::Duration;

/// How lately a node must have turned to be counted.
pub const TURN_WINDOW: Duration = Duration::from_mins(1);

/// Whether more than half of the nodes turned (to Ready or away from it) within the last minute.
///
/// `turned` holds, per node, when this replica saw its Ready condition change; `None` for one that has not
/// changed since it was first seen.
pub fn control_plane_ill(now: Duration, turned: impl IntoIterator<Item = Option<Duration>>) -> bool {
    let (mut all, mut lately) = (0_usize, 0_usize);
    for turn in turned {
        all += 1;
        if turn.is_some_and(|at| at + TURN_WINDOW > now) {
            lately += 1;
        }
    }
    lately * 2 > all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_three_nodes_is_that_node_two_are_the_control_plane() {
        let now = Duration::from_secs(100);
        let lately = Some(Duration::from_secs(90));
        let before = Some(Duration::from_secs(30));
        assert!(!control_plane_ill(now, [lately, None, None]));
        assert!(!control_plane_ill(now, [lately, before]));
        assert!(control_plane_ill(now, [lately, lately, None]));
        assert!(!control_plane_ill(now, [before, before, before]));
        assert!(!control_plane_ill(now, []));
    }
}
