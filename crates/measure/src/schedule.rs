//! In which order trials run.

use std::time::Duration;

use crate::experiment::{Experiment, Procedure, Victim};

/// How many trials of which experiments, in the registry's order.
pub(crate) type Plan = Vec<(&'static Experiment, usize)>;

/// One power cut and the experiments that it serves.
#[derive(Debug, PartialEq)]
pub(crate) struct Cut {
    /// Which node loses power.
    pub(crate) victim: Victim,
    /// What is measured by it.
    pub(crate) experiments: Vec<&'static Experiment>,
}

/// Spreads the trials of every experiment evenly over the whole, so that all of them see the same machine.
pub(crate) fn interleave(plan: &Plan) -> Vec<&'static Experiment> {
    let mut places: Vec<(f64, &'static Experiment)> = Vec::new();
    for (experiment, count) in plan {
        #[allow(clippy::cast_precision_loss)] // some hundred trials
        places.extend((0..*count).map(|trial| ((trial as f64 + 0.5) / *count as f64, *experiment)));
    }
    // The sort is stable: where places are equal, the registry's order remains.
    places.sort_by(|a, b| a.0.total_cmp(&b.0));
    places.into_iter().map(|(_, experiment)| experiment).collect()
}

/// The power cuts: one serves all experiments with the same victim.
pub(crate) fn plan_cuts(plan: &Plan) -> Vec<Cut> {
    let mut cuts = Vec::new();
    for wanted in [Victim::WithoutReplica, Victim::Lead] {
        let is_served = |experiment: &Experiment| matches!(experiment.procedure, Procedure::PowerCut { victim, .. } if victim == wanted);
        let served: Plan = plan.iter().copied().filter(|(experiment, _)| is_served(experiment)).collect();
        let most = served.iter().map(|(_, count)| *count).max().unwrap_or_default();
        for number in 0..most {
            let due = served.iter().filter(|(_, count)| number < *count);
            cuts.push(Cut { victim: wanted, experiments: due.map(|(experiment, _)| *experiment).collect() });
        }
    }
    cuts
}

/// The trials while all nodes are up, and how many of the floor's trials take place among the power cuts instead, one
/// before each cut.
pub(crate) fn share_floor(plan: &Plan) -> (Plan, usize) {
    let mut mixed: Plan = plan.iter().copied().filter(|(experiment, _)| experiment.is_mixed()).collect();
    let others: usize = mixed.iter().filter(|(one, _)| !one.is_floor()).map(|(_, count)| count).sum();
    let cuts = plan_cuts(plan).len();
    let Some((_, floors)) = mixed.iter_mut().find(|(experiment, _)| experiment.is_floor()) else {
        return (mixed, 0);
    };
    let among_cuts = if others == 0 && cuts > 0 { *floors } else { cuts.min(*floors / 3) };
    *floors -= among_cuts;
    (mixed, among_cuts)
}

/// When in a period the fault of a trial falls: the golden ratio spreads any number of them evenly.
pub(crate) fn phase(turn: usize, period: Duration) -> Duration {
    #[allow(clippy::cast_precision_loss)]
    let part = (turn as f64 * 0.618_033_988_75).fract();
    period.mul_f64(part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::find;

    fn plan(list: &[(&str, usize)]) -> Plan {
        list.iter().map(|(key, count)| (find(key).unwrap(), *count)).collect()
    }

    fn keys(experiments: &[&'static Experiment]) -> Vec<&'static str> {
        experiments.iter().map(|experiment| experiment.key).collect()
    }

    #[test]
    fn trials_are_spread_evenly() {
        let order = interleave(&plan(&[("floor", 2), ("killed", 4), ("hang", 1)]));
        assert_eq!(keys(&order), ["killed", "floor", "killed", "hang", "killed", "floor", "killed"]);
    }

    #[test]
    fn one_power_cut_serves_two_experiments() {
        let cuts =
            plan_cuts(&plan(&[("killed", 9), ("node-off", 2), ("node-off-fast", 1), ("lead-off-fast", 1)]));
        let found: Vec<_> = cuts.iter().map(|cut| (cut.victim, keys(&cut.experiments))).collect();
        assert_eq!(
            found,
            [
                (Victim::WithoutReplica, vec!["node-off", "node-off-fast"]),
                (Victim::WithoutReplica, vec!["node-off"]),
                (Victim::Lead, vec!["lead-off-fast"])
            ]
        );
    }

    #[test]
    fn some_floor_trials_are_among_the_power_cuts() {
        let shared = share_floor(&plan(&[("floor", 30), ("killed", 9), ("node-off", 4), ("await-crash", 5)]));
        assert_eq!(shared, (plan(&[("floor", 26), ("killed", 9)]), 4));
        assert_eq!(share_floor(&plan(&[("floor", 3), ("node-off", 4)])), (plan(&[("floor", 0)]), 3));
        assert_eq!(
            share_floor(&plan(&[("floor", 6), ("killed", 9), ("node-off", 4)])).1,
            2,
            "at most a third"
        );
    }

    #[test]
    fn the_floor_is_measured_alone_if_nothing_else_is_chosen() {
        assert_eq!(share_floor(&plan(&[("floor", 5)])), (plan(&[("floor", 5)]), 0));
        assert_eq!(share_floor(&plan(&[("await-crash", 5)])), (Plan::new(), 0));
    }

    #[test]
    fn phases_fill_the_period() {
        let period = Duration::from_millis(100);
        let mut phases: Vec<Duration> = (0..20).map(|turn| phase(turn, period)).collect();
        phases.sort();
        let widest = phases.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).max().unwrap();
        assert!(
            phases.iter().all(|phase| *phase < period) && widest < Duration::from_millis(10),
            "{widest:?}"
        );
    }
}
