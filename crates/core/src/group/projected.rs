//! The projections together: what is written, whether all of it follows the seat, and what hinders it.

use super::decide::Decision;
use super::slices::{self, Trouble};
use super::{Group, disposal, labels, notices, pointer};
use crate::action::Action;
use crate::ids::Uid;
use crate::seat::SeatMarks;
use crate::spec::GroupSpec;
use crate::traffic::{Led, led};
use std::time::Duration;

/// Traffic first, then labels, then words, and what must go last.
pub(super) fn project(
    group: &mut Group,
    spec: &GroupSpec,
    now: Duration,
    decision: &Decision,
    actions: &mut Vec<Action>,
) {
    let served = slices::served(group, spec, now, decision);
    slices::project(group, spec, now, &served, actions);
    pointer::project(group, spec, now, &served, actions);
    labels::project(group, spec, now, &served, actions);
    notices::project(group, spec, now, &served, actions);
    disposal::project(group, spec, now, decision, actions);
}

/// Whether traffic and labels follow the seat everywhere.
pub(super) fn all_in_place(group: &Group, spec: &GroupSpec, seat_uid: &Uid, marks: &SeatMarks) -> bool {
    slices::all_in_place(group, seat_uid, marks)
        && pointer::all_in_place(group, spec, &marks.holder_uid)
        && labels::all_in_place(group, spec, &marks.holder_uid)
}

/// Whether some Service leads to this member now.
pub(super) fn serves(group: &Group, spec: &GroupSpec, uid: &Uid) -> bool {
    let labelled = |led_by| {
        let carries = || {
            let mut carriers = spec.role_label.iter().flat_map(|role| labels::carriers(group, role));
            carriers.any(|member| member.uid == *uid)
        };
        led_by == Led::RoleLabel && carries()
    };
    slices::serves(group, uid)
        || pointer::pointed_uid(group).as_ref() == Some(uid)
        || group.services.iter().flatten().any(|service| labelled(led(spec, service)))
}

/// What hinders them, if anything; the worst first.
pub(super) fn trouble(group: &Group, spec: &GroupSpec) -> Option<Trouble> {
    let all = [
        slices::trouble(group),
        pointer::trouble(group, spec),
        labels::trouble(group),
        disposal::trouble(group),
    ];
    all.into_iter().flatten().min_by_key(|trouble| match trouble {
        Trouble::ManagedByOther(_) => 0,
        Trouble::NotGranted(_) => 1,
        Trouble::Refused(_) => 2,
        Trouble::Contested(..) => 3,
    })
}
