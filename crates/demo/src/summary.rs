//! The end: a table, and whether all was as it should be.

use crate::acts::Outcome;
use crate::screen::{Screen, Style};
use hotstandby_testbed::trace::Trace;

/// The table.
pub(crate) fn table(outcomes: &[Outcome], trace: &Trace) -> Vec<String> {
    let mut lines = vec![format!(
        "  {:<8} {:>10} {:>10} {:>10} {:>13} {:>16} {:>12} {:>8}",
        "active", "detected", "seat", "slice", "first answer", "failed requests", "longest gap", "doubled"
    )];
    for one in outcomes {
        let Outcome { act, proven, seat, slice, answer, requests, failed, gap, doubled } = one;
        let ms = |number: &f64| format!("{number:.1} ms");
        lines.push(format!(
            "  {:<8} {:>10} {:>10} {:>10} {:>13} {:>16} {:>12} {:>8}",
            act.name(),
            ms(proven),
            ms(seat),
            ms(slice),
            ms(answer),
            format!("{failed} of {requests}"),
            ms(gap),
            doubled
        ));
    }
    lines.push(format!("  the client in all: {} requests, {} failed", trace.samples().len(), trace.failed()));
    lines
}

/// What was not as it should be.
pub(crate) fn faults(outcomes: &[Outcome], wrong: &[String]) -> Vec<String> {
    let mut faults: Vec<String> = wrong.to_vec();
    for one in outcomes {
        let (name, limit) = (one.act.name(), one.act.limit());
        if one.answer > limit.as_secs_f64() * 1000.0 {
            faults.push(format!(
                "{name}: another pod answered after {:.0} ms; the limit is {limit:?}",
                one.answer
            ));
        }
        if one.doubled > 0 {
            let count = one.doubled;
            faults
                .push(format!("{name}: {count} requests went to the old pod after the new one had answered"));
        }
    }
    faults
}

/// Says whether all was well.
pub(crate) fn say(screen: &mut Screen, outcomes: &[Outcome], wrong: &[String], trace: &Trace) -> bool {
    screen.say(&screen.paint(Style::Strong, "\nSummary, in milliseconds from the fault"));
    for line in table(outcomes, trace) {
        screen.say(&line);
    }
    let faults = faults(outcomes, wrong);
    for fault in &faults {
        screen.say(&screen.paint(Style::Bad, &format!("  WRONG: {fault}")));
    }
    if faults.is_empty() {
        let text = format!("  {} of {0} failovers in time, never two active at once", outcomes.len());
        screen.say(&screen.paint(Style::Good, &text));
    }
    faults.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Act;

    fn outcome(answer: f64, doubled: usize) -> Outcome {
        Outcome {
            act: Act::Kill,
            proven: 6.0,
            seat: 9.0,
            slice: 11.0,
            answer,
            requests: 300,
            failed: 2,
            gap: 12.5,
            doubled,
        }
    }

    #[test]
    fn what_is_late_doubled_or_wrong_is_said() {
        assert!(faults(&[outcome(15.0, 0)], &[]).is_empty());
        assert_eq!(faults(&[outcome(2_001.0, 0)], &[]).len(), 1);
        assert_eq!(faults(&[outcome(15.0, 1)], &[]).len(), 1);
        assert_eq!(faults(&[outcome(15.0, 0)], &["two addresses".to_owned()]), ["two addresses"]);
    }

    #[test]
    fn the_columns_stand_below_their_heads() {
        let lines = table(&[outcome(15.0, 0)], &Trace::default());
        let [head, row, _] = lines.as_slice() else { panic!("{lines:?}") };
        assert_eq!(head.chars().count(), row.chars().count());
        assert!(head.len() < 100, "{}", head.len());
    }
}
