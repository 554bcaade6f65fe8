//! Disruption budgets that count the active alone.

use super::group::views;
use super::{Finding, Known, Severity, Snapshot, known};
use crate::objects::{At, namespace_of};

/// Budgets that select by the role, so that the one pod they protect can never be evicted.
pub(super) fn check(snapshot: &Snapshot) -> Known<Vec<Finding>> {
    let budgets = known(&snapshot.budgets)?;
    let mut findings = Vec::new();
    for view in views(snapshot)? {
        let Some((key, active)) = view.role() else { continue };
        for budget in budgets.iter().filter(|one| namespace_of(&one.metadata) == view.at.namespace) {
            let labels = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref()?.match_labels.as_ref());
            let by_role = labels.and_then(|labels| labels.get(key)).is_some_and(|value| value == active);
            let shut = budget.status.as_ref().is_some_and(|status| status.disruptions_allowed == 0);
            if by_role && shut {
                findings.push(Finding {
                    id: "BudgetBlocksActive",
                    severity: Severity::Warning,
                    object: At::of("PodDisruptionBudget", &budget.metadata),
                    what: format!("it selects {key}={active}, which one pod has, and allows no disruption"),
                    why: "An eviction is refused while the budget allows none, so a drain waits for ever on the active, although \
                          the others stand by.",
                    remedy: format!("select all members instead: take {key} out of its selector"),
                });
            }
        }
    }
    Ok(findings)
}
