//! One file for each kind of fear, one function for each fear.

mod await_clocks;
mod await_faults;
mod await_followed;
mod await_frozen;
mod await_planned;
mod control_plane;
mod edits;
mod election;
mod groups;
mod install;
mod model;
mod nodes;
mod planned;
mod pods;
mod policies;
mod probes;
mod quiet;
mod rights;
mod services;
mod workloads;

use super::runner::Fear;

macro_rules! fears {
    ($($file:ident :: $name:ident,)+) => {
        &[$(Fear { name: stringify!($name), run: |trial| Box::pin($file::$name(trial)) }),+]
    };
}

/// All fears, those that hurt nothing but a pod first. The test of rights comes last, as it looks at what
/// all others made hotstandby do.
pub(super) const ALL: &[Fear] = fears![
    pods::process_killed,
    pods::pod_deleted,
    pods::pod_deleted_with_linger,
    pods::readiness_lost,
    probes::health_endpoint_hangs,
    probes::all_members_hang,
    planned::switchover,
    planned::switchover_void_term,
    planned::pause_and_resume,
    workloads::rolling_update,
    workloads::statefulset_pod_comes_back_by_the_same_name,
    edits::slice_edited,
    edits::slice_contested,
    edits::seat_edited,
    edits::foreign_slice,
    election::election_of_others_is_followed,
    groups::bad_spec,
    groups::service_with_selector_refused,
    groups::group_deleted,
    groups::group_deleted_orphan,
    services::two_services_named_ports,
    policies::edits_refused_by_policy,
    policies::role_labels_refused_by_policy,
    policies::pointer_survives_git,
    quiet::steady_state_is_silent,
    control_plane::api_server_away_and_active_dies,
    control_plane::api_server_away,
    control_plane::etcd_restarted,
    install::controller_replica_killed,
    install::both_replicas_restarted,
    install::group_deleted_while_nobody_watches,
    install::namespaced_variant_works,
    install::runs_outside_the_cluster,
    install::missing_rights_are_listed,
    model::modelled_api_server_is_wrong,
    await_planned::await_pod_deleted,
    await_planned::await_command_crash_loop,
    await_planned::await_rolling_update,
    await_planned::await_mixed_rolling_change,
    await_followed::await_led_by_the_controller,
    await_clocks::await_wall_clock_jumps,
    await_clocks::await_machine_suspended,
    await_frozen::await_one_process_frozen,
    await_frozen::await_container_frozen,
    await_frozen::await_two_at_once_are_seen,
    await_faults::await_rights_removed,
    await_faults::await_api_server_away,
    await_faults::await_node_partitioned,
    await_faults::await_node_powered_off,
    nodes::old_active_returns,
    nodes::node_powered_off,
    nodes::node_powered_off_fast,
    nodes::replica_and_active_on_one_dead_node,
    rights::granted_equals_used,
];
