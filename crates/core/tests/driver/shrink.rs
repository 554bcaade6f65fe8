//! Makes a failing schedule small: everything that is not needed to break the same rule is left out.

use super::op::Op;
use super::run::{Failure, run};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Spent on making it small.
const PATIENCE: Duration = Duration::from_secs(20);

/// The smallest schedule found that breaks the same rule, with how it does.
pub(super) fn shrink(seed: u64, ops: &[Op], failure: Failure) -> (Vec<Op>, Failure) {
    let begun = Instant::now();
    let rule = failure.rule().to_owned();
    let mut best = (ops.iter().take(failure.step + 1).cloned().collect::<Vec<Op>>(), failure);
    let attempt = |best: &mut (Vec<Op>, Failure), mut ops: Vec<Op>| {
        if begun.elapsed() > PATIENCE {
            return false;
        }
        match run(seed, &ops, false) {
            Err(failure) if failure.rule() == rule => {
                ops.truncate(failure.step + 1);
                *best = (ops, failure);
                true
            }
            _ => false,
        }
    };
    let kinds: BTreeSet<String> = best.0.iter().map(|op| op.what.kind()).collect();
    for kind in kinds {
        let without = without(&best.0, |_, op| op.what.kind() == kind);
        attempt(&mut best, without);
    }
    let mut size = best.0.len().div_ceil(2).max(1);
    loop {
        let mut at = 0;
        while at < best.0.len() {
            let rest = without(&best.0, |index, _| (at..at + size).contains(&index));
            if !attempt(&mut best, rest) {
                at += size;
            }
        }
        if size == 1 {
            return best;
        }
        size = size.div_ceil(2);
    }
}

/// Leaves entries out; what they waited for is still waited for.
fn without(ops: &[Op], left_out: impl Fn(usize, &Op) -> bool) -> Vec<Op> {
    let mut kept: Vec<Op> = Vec::new();
    let mut waited = Duration::ZERO;
    for (index, op) in ops.iter().enumerate() {
        waited += op.after;
        if !left_out(index, op) {
            kept.push(Op { after: std::mem::take(&mut waited), what: op.what });
        }
    }
    kept
}
