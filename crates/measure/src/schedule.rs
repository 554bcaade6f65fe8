//! In which order trials run.

use std::collections::BTreeMap;
use std::time::Duration;

use super::row::Row;

/// How many trials of each row.
pub(super) type Counts = BTreeMap<Row, usize>;

/// Spreads the trials of every row evenly over the whole, so that all rows see the same machine.
pub(super) fn interleave(counts: &Counts) -> Vec<Row> {
    let mut places: Vec<(f64, Row)> = Vec::new();
    for (row, count) in counts {
        #[allow(clippy::cast_precision_loss)]
        places.extend((0..*count).map(|trial| ((trial as f64 + 0.5) / *count as f64, *row)));
    }
    places.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    places.into_iter().map(|(_, row)| row).collect()
}

/// The power cuts: whether the lead's node is hit, and which rows are measured by it.
pub(super) fn cuts(counts: &Counts) -> Vec<(bool, Vec<Row>)> {
    let count = |row: Row| counts.get(&row).copied().unwrap_or_default();
    let pairs = [(false, [Row::NodeOff, Row::NodeOffFast]), (true, [Row::LeadOff, Row::LeadOffFast])];
    let mut cuts = Vec::new();
    for (lead, rows) in pairs {
        let most = rows.iter().map(|row| count(*row)).max().unwrap_or_default();
        for cut in 0..most {
            cuts.push((lead, rows.iter().copied().filter(|row| cut < count(*row)).collect()));
        }
    }
    cuts
}

/// Shares the floor's trials between the rows that cut power, one for each cut, and the others.
pub(super) fn share_floor(counts: &Counts) -> (Counts, usize) {
    let floors = counts.get(&Row::Floor).copied().unwrap_or_default();
    let cheap: Counts = counts
        .iter()
        .filter(|(row, _)| !row.cuts_power() && **row != Row::Floor)
        .map(|(r, n)| (*r, *n))
        .collect();
    let in_cuts =
        if cheap.values().all(|count| *count == 0) { floors } else { cuts(counts).len().min(floors / 3) };
    let mut with_floor = cheap;
    with_floor.insert(Row::Floor, floors - in_cuts);
    (with_floor, in_cuts)
}

/// When in a period the fault of a trial falls: the golden ratio spreads any number of them evenly.
pub(super) fn phase(turn: usize, period: Duration) -> Duration {
    #[allow(clippy::cast_precision_loss)]
    let part = (turn as f64 * 0.618_033_988_75).fract();
    period.mul_f64(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_spread_evenly() {
        let counts = Counts::from([(Row::Floor, 2), (Row::Killed, 4), (Row::Hang, 1)]);
        let order = interleave(&counts);
        assert_eq!(
            order,
            [Row::Killed, Row::Floor, Row::Killed, Row::Hang, Row::Killed, Row::Floor, Row::Killed]
        );
    }

    #[test]
    fn one_power_cut_serves_two_rows() {
        let counts = Counts::from([(Row::NodeOff, 2), (Row::NodeOffFast, 1), (Row::LeadOffFast, 1)]);
        assert_eq!(
            cuts(&counts),
            [
                (false, vec![Row::NodeOff, Row::NodeOffFast]),
                (false, vec![Row::NodeOff]),
                (true, vec![Row::LeadOffFast])
            ]
        );
    }

    #[test]
    fn some_floor_trials_are_among_the_power_cuts() {
        let (cheap, in_cuts) =
            share_floor(&Counts::from([(Row::Floor, 30), (Row::Killed, 9), (Row::NodeOff, 4)]));
        assert_eq!((cheap[&Row::Floor], cheap[&Row::Killed], in_cuts), (26, 9, 4));
        assert!(!cheap.contains_key(&Row::NodeOff));
        let (cheap, in_cuts) = share_floor(&Counts::from([(Row::Floor, 3), (Row::NodeOff, 4)]));
        assert_eq!((cheap[&Row::Floor], in_cuts), (0, 3));
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
