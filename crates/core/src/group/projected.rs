//! The projections together: what is written, whether all of it follows the seat, and what hinders it.

use super::decide::Decision;
use super::slices::{self, Trouble};
use super::{Group, disposal, labels, notices, pointer};
use crate::action::Action;
use crate::ids::{Rv, Term, Uid};
use crate::labels::MEMBER_LABEL;
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

/// Whether all of it follows the seat and some Service leads to the holder.
pub(super) fn all_follow(group: &Group, spec: &GroupSpec, seat_uid: &Uid, marks: &SeatMarks) -> bool {
    all_in_place(group, spec, seat_uid, marks) && serves(group, spec, &marks.holder_uid)
}

/// What a projection says of the seat that it follows.
pub(super) struct Claim {
    /// The object's resourceVersion.
    pub(super) rv: Rv,
    /// The seat.
    pub(super) seat: Uid,
    /// Its term.
    pub(super) term: Term,
    /// Who is active by it, if it says so.
    pub(super) names: Option<Uid>,
}

/// All that projections say, those first that name somebody.
pub(super) fn claims(group: &Group) -> Vec<Claim> {
    let claim = |rv: &Rv, stamp: Option<&(Uid, Term)>, names: Option<Uid>| {
        let (seat, term) = stamp?;
        Some(Claim { rv: rv.clone(), seat: seat.clone(), term: *term, names })
    };
    let by_slices = group.own_slices().filter_map(|slice| {
        let endpoint = slice.content.as_ref().and_then(|content| content.endpoint.as_ref());
        claim(&slice.rv, slice.stamp.as_ref(), endpoint.map(|endpoint| endpoint.uid.clone()))
    });
    let selecting = group.services.iter().flatten().filter_map(|service| service.found.selecting());
    let by_pointers = selecting.filter_map(|service| {
        let names = service.selector.get(MEMBER_LABEL).map(|uid| Uid::from(&**uid));
        claim(&service.rv, service.mark.as_ref()?.stamp.as_ref(), names)
    });
    let role = group.view.as_ref().and_then(|view| view.spec.as_ref().ok()?.role_label.clone());
    let by_labels = group.all_members().filter_map(|member| {
        let carries = role.as_ref().is_some_and(|role| member.labels.get(&role.key) == Some(&role.active));
        claim(&member.rv, member.mark.as_ref()?.stamp.as_ref(), carries.then(|| member.uid.clone()))
    });
    let mut all: Vec<Claim> = by_slices.chain(by_pointers).chain(by_labels).collect();
    all.sort_by_key(|claim| claim.names.is_none());
    all
}
