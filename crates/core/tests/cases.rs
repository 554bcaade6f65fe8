//! Data-driven cases: text files of commands and of what the group asked for, beside a modelled world.
//!
//! `UPDATE_CASES=1 cargo test -p hotstandby-core --test cases` rewrites the expected output; read the difference
//! before you commit it. The command language is described in `cases/README.md`.

// The lints for shipped code; a harness may fail loudly, also outside of #[test] functions.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::unchecked_time_subtraction)]

mod harness;

macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                harness::run_file(stringify!($name));
            }
        )*

        #[test]
        fn every_file_is_listed() {
            harness::assert_listed(&[$(stringify!($name)),*]);
        }
    };
}

cases![
    brake_and_facts,
    deletions,
    election,
    failback_and_penalty,
    follow,
    follow_unclear,
    follow_uncounted,
    nodes,
    notices,
    pause_and_switchover,
    peers_and_lead,
    pods,
    process_killed,
    role_labels,
    seat_trouble,
    selector_pointer,
    services,
    slice_trouble,
    status,
    time_outs,
    unknown_holder,
];
