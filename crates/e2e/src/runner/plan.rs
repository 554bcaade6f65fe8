//! Which tests run side by side, and in which order the others follow.

use super::{Fear, Needs};

/// The tests of a run.
pub(crate) struct Plan {
    /// Those that run side by side, first.
    pub(crate) side_by_side: Vec<Fear>,
    /// Those that run one after the other, afterwards.
    pub(crate) alone: Vec<Fear>,
}

impl Plan {
    /// Plans these tests. With `serial`, all of them run one after the other; the order is the same.
    pub(crate) fn of(fears: &[Fear], serial: bool) -> Self {
        let (side_by_side, mut alone): (Vec<Fear>, Vec<Fear>) =
            fears.iter().partition(|fear| fear.needs == Needs::Namespace && !serial);
        // A stable sort: within one need the tests keep the order of the list.
        alone.sort_by_key(|fear| fear.needs);
        Self { side_by_side, alone }
    }

    /// How many tests there are.
    pub(crate) fn len(&self) -> usize {
        self.side_by_side.len() + self.alone.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FEARS: &[Fear] = &[
        fear("nodes", Needs::Nodes),
        fear("first", Needs::Namespace),
        fear("record", Needs::Record),
        fear("replicas", Needs::Replicas),
        fear("second", Needs::Namespace),
        fear("more nodes", Needs::Nodes),
    ];

    const fn fear(name: &'static str, needs: Needs) -> Fear {
        Fear { name, needs, run: |_| Box::pin(async { Ok(()) }) }
    }

    fn names(fears: &[Fear]) -> Vec<&'static str> {
        fears.iter().map(|fear| fear.name).collect()
    }

    #[test]
    fn only_tests_of_one_namespace_run_side_by_side() {
        let plan = Plan::of(FEARS, false);
        assert_eq!(names(&plan.side_by_side), ["first", "second"]);
        assert_eq!(names(&plan.alone), ["replicas", "nodes", "more nodes", "record"]);
        assert_eq!(plan.len(), FEARS.len());
    }

    #[test]
    fn a_serial_run_drops_no_test() {
        let plan = Plan::of(FEARS, true);
        assert!(plan.side_by_side.is_empty());
        assert_eq!(names(&plan.alone), ["first", "second", "replicas", "nodes", "more nodes", "record"]);
    }
}
