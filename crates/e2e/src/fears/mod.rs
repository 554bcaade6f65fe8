//! One file for each kind of fear, one function for each fear.

mod a_annotated;
mod annotated;
mod await_clocks;
mod await_faults;
mod await_followed;
mod await_frozen;
mod await_planned;
mod b_roles;
mod control_plane;
mod d_toggle;
mod edits;
mod election;
mod groups;
mod import;
mod install;
mod model;
mod names;
mod nodes;
mod old;
mod old_connections;
mod planned;
mod pods;
mod policies;
mod probes;
mod quiet;
mod rights;
mod services;
mod workloads;

use super::runner::{Fear, Needs};

macro_rules! fears {
    ($($needs:ident { $($file:ident :: $name:ident,)+ })+) => {
        &[$($(Fear {
            name: stringify!($name),
            needs: Needs::$needs,
            run: |trial| Box::pin($file::$name(trial)),
        }),+),+]
    };
}

/// All fears, by what each test needs for itself alone. Of those that run side by side the longest begin first, so that none of
/// them is left over at the end.
pub(super) const ALL: &[Fear] = fears![
    Namespace {
        await_frozen::await_one_process_frozen,
        await_frozen::await_container_frozen,
        model::modelled_api_server_is_wrong,
        await_clocks::await_wall_clock_jumps,
        await_clocks::await_machine_suspended,
        pods::process_killed,
        pods::pod_deleted,
        pods::readiness_lost,
        probes::health_endpoint_hangs,
        probes::all_members_hang,
        planned::switchover,
        planned::switchover_void_term,
        planned::pause_and_resume,
        workloads::statefulset_pod_comes_back_by_the_same_name,
        edits::slice_edited,
        edits::slice_contested,
        edits::seat_edited,
        edits::foreign_slice,
        groups::bad_spec,
        groups::service_with_selector_refused,
        groups::group_deleted,
        groups::group_deleted_orphan,
        services::two_services_named_ports,
        services::pointed_service_leaves_the_group,
        names::headless_name_means_another_pod,
        a_annotated::a_headless_name_means_a_standby,
        a_annotated::a_old_active_that_returns_is_not_a_second_active,
        a_annotated::a_removed_annotation_leaves_no_selector_behind,
        a_annotated::a_removed_annotation_fails_no_request,
        a_annotated::a_two_services_over_the_same_pods_agree_or_are_refused,
        a_annotated::a_group_over_the_same_pods_does_not_fight,
        a_annotated::a_reapplied_service_leads_to_standbys,
        old_connections::group_deleted_before_the_old_active,
        d_toggle::d_running_old_loop_is_taken_over,
        d_toggle::d_deleted_pods_successor_gets_a_role,
        d_toggle::d_a_hung_health_check_does_not_hang_us,
        d_toggle::d_one_bad_check_does_not_switch,
        d_toggle::d_all_bad_leaves_the_active,
        d_toggle::d_a_refused_label_makes_no_second_active,
        d_toggle::d_more_than_two_replicas_of_a_deployment,
        b_roles::b_pods_older_than_the_controller_are_taken,
        b_roles::b_running_old_controller_is_taken_over,
        b_roles::b_a_lost_datagram_is_sent_again,
        b_roles::b_nobody_active_heals,
        b_roles::b_an_unready_pod_is_not_made_active,
        b_roles::b_labels_and_namespaces_are_not_fixed,
        b_roles::b_critical_container_ends_its_pod_and_a_helper_does_not,
        import::b_import_says_what_the_move_does_not,
        import::d_import_says_what_the_move_does_not,
        old::old_b_makes_two_actives,
        old::old_d_makes_two_actives,
        annotated::annotated_service_follows_the_active_until_the_line_goes,
        annotated::annotated_service_with_a_slip_is_left_alone,
        old_connections::strict_order_promotes_before_the_old_one_let_go,
        install::missing_rights_are_listed,
        await_planned::await_command_crash_loop,
        await_planned::await_rolling_update,
        await_planned::await_mixed_rolling_change,
        await_frozen::await_two_at_once_are_seen,
        await_faults::await_rights_removed,
    }
    Speed {
        await_planned::await_pod_deleted,
        pods::pod_deleted_with_linger,
        workloads::rolling_update,
        old_connections::old_connections_outlive_the_switch,
    }
    Install {
        election::election_of_others_is_followed,
        policies::edits_refused_by_policy,
        policies::role_labels_refused_by_policy,
        policies::pointer_survives_git,
        old_connections::deletion_without_its_right_is_silent,
        await_followed::await_led_by_the_controller,
    }
    Replicas {
        a_annotated::a_running_old_controller_is_taken_over,
        b_roles::b_a_controller_restart_makes_no_second_active,
        old::old_a_makes_two_actives,
        quiet::steady_state_is_silent,
        install::controller_replica_killed,
        install::both_replicas_restarted,
        install::group_deleted_while_nobody_watches,
        install::namespaced_variant_works,
        install::runs_outside_the_cluster,
    }
    ControlPlane {
        control_plane::api_server_away_and_active_dies,
        control_plane::api_server_away,
        control_plane::etcd_restarted,
        await_faults::await_api_server_away,
    }
    Nodes {
        a_annotated::a_node_death_moves_the_service,
        b_roles::b_node_death_moves_the_role,
        await_faults::await_node_partitioned,
        await_faults::await_node_powered_off,
        nodes::old_active_returns,
        nodes::node_powered_off,
        nodes::node_powered_off_fast,
        nodes::replica_and_active_on_one_dead_node,
    }
    Record {
        rights::granted_equals_used,
    }
];
