use super::*;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn order(watchman: &mut Watchman, now: u64, order: Order) -> Vec<Deed> {
    watchman.on(s(now), &Event::Order(order))
}

fn arm(term_at: u64, kill_at: u64) -> Order {
    Order::Arm { term_at: s(term_at), kill_at: s(kill_at) }
}

/// Runs the command from second 1 on, TERM at 10, KILL at 14.
fn running() -> Watchman {
    let mut watchman = Watchman::new(s(60));
    assert_eq!(order(&mut watchman, 1, arm(10, 14)), []);
    let start = Order::Start { term: 7, not_after: s(9) };
    assert_eq!(order(&mut watchman, 1, start), [Deed::Start { term: 7, not_after: s(9) }]);
    assert_eq!(watchman.on(s(1), &Event::Started { pid: 42 }), [Deed::Tell(Word::Started { pid: 42 })]);
    watchman
}

#[test]
fn elector_that_falls_silent_cannot_keep_the_command_alive() {
    let mut watchman = running();
    assert_eq!(watchman.deadline(), Some(s(10)));
    assert_eq!(watchman.on(s(9), &Event::Tick), []);
    assert_eq!(watchman.on(s(10), &Event::Tick), [Deed::Tell(Word::Fired), Deed::Forward(Signal::SIGTERM)]);
    assert_eq!(watchman.deadline(), Some(s(14)));
    assert_eq!(watchman.on(s(13), &Event::Tick), []);
    assert_eq!(watchman.on(s(14), &Event::Tick), [Deed::Tell(Word::Fired), Deed::KillAll]);
    assert!(watchman.is_killing());
}

#[test]
fn keeper_that_was_frozen_past_both_deadlines_kills_first() {
    let mut watchman = running();
    assert_eq!(watchman.on(s(60), &Event::Tick), [Deed::Tell(Word::Fired), Deed::KillAll]);
}

#[test]
fn keeper_that_thaws_judges_by_the_newest_deadlines_it_was_sent() {
    let mut watchman = running();
    // What lay in the socket meanwhile, the oldest first: each but the last is over by now.
    for term_at in [12, 14, 16] {
        assert_eq!(order(&mut watchman, 20, arm(term_at, term_at + 3)), []);
    }
    assert_eq!(order(&mut watchman, 20, arm(25, 29)), []);
    assert_eq!(watchman.on(s(20), &Event::Tick), [], "it was renewed all the time");
    assert_eq!(watchman.deadline(), Some(s(25)));
}

#[test]
fn renewal_moves_the_deadlines() {
    let mut watchman = running();
    assert_eq!(order(&mut watchman, 5, arm(15, 19)), []);
    assert_eq!(watchman.on(s(14), &Event::Tick), []);
    assert_eq!(watchman.deadline(), Some(s(15)));
}

#[test]
fn lost_elector_kills_at_once_and_fails() {
    let mut watchman = running();
    assert_eq!(watchman.on(s(2), &Event::ElectorGone), [Deed::KillAll]);
    assert_eq!(watchman.on(s(2), &Event::Ended { code: 137 }), [Deed::Tell(Word::Exited { code: 137 })]);
    assert_eq!(watchman.on(s(2), &Event::Clear), [Deed::Tell(Word::Clear), Deed::Exit(FAILED)]);
}

#[test]
fn elector_that_says_done_beside_a_running_command_does_not_set_it_free() {
    let mut watchman = running();
    assert_eq!(order(&mut watchman, 2, Order::Done { code: 0 }), [Deed::KillAll]);
    watchman.on(s(2), &Event::Ended { code: 137 });
    assert_eq!(watchman.on(s(2), &Event::Clear), [Deed::Tell(Word::Clear), Deed::Exit(0)]);
}

#[test]
fn nothing_is_told_clear_whose_end_was_not_told() {
    let mut watchman = running();
    order(&mut watchman, 2, Order::Kill);
    assert_eq!(
        watchman.on(s(2), &Event::Clear),
        [Deed::Tell(Word::Exited { code: FAILED }), Deed::Tell(Word::Clear)]
    );
}

#[test]
fn commands_end_is_told_before_all_is_clear_and_its_children_are_killed() {
    let mut watchman = running();
    assert_eq!(
        watchman.on(s(3), &Event::Ended { code: 3 }),
        [Deed::Tell(Word::Exited { code: 3 }), Deed::KillAll]
    );
    assert_eq!(watchman.on(s(3), &Event::Clear), [Deed::Tell(Word::Clear)]);
    assert_eq!(order(&mut watchman, 4, Order::Done { code: 3 }), [Deed::Exit(3)]);
}

#[test]
fn request_to_end_reaches_command_and_elector_and_the_command_once() {
    let mut watchman = running();
    assert_eq!(
        watchman.on(s(2), &Event::Signal(Signal::SIGTERM)),
        [Deed::Forward(Signal::SIGTERM), Deed::Tell(Word::Asked { signal: 15 })]
    );
    assert_eq!(order(&mut watchman, 2, Order::Stop { kill_at: s(8) }), [], "it has got it");
    assert_eq!(watchman.deadline(), Some(s(8)));
    let deeds = watchman.on(s(8), &Event::Tick);
    assert!(matches!(deeds.as_slice(), [Deed::Tell(Word::Say(_)), Deed::KillAll]), "{deeds:?}");
}

#[test]
fn patience_after_a_request_never_outlives_the_lease() {
    let mut watchman = running();
    order(&mut watchman, 2, Order::Stop { kill_at: s(100) });
    assert_eq!(watchman.deadline(), Some(s(14)), "TERM was sent, so KILL is next");
    order(&mut watchman, 2, Order::Stop { kill_at: s(200) });
    order(&mut watchman, 3, arm(300, 400));
    assert_eq!(watchman.deadline(), Some(s(100)), "a later order does not lengthen it");
}

#[test]
fn every_signal_is_passed_on_but_only_some_ask_to_end() {
    let mut watchman = running();
    for signal in [Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGWINCH, Signal::SIGQUIT] {
        assert_eq!(watchman.on(s(2), &Event::Signal(signal)), [Deed::Forward(signal)]);
    }
    assert_eq!(watchman.on(s(2), &Event::Signal(Signal::SIGINT)).len(), 2);
    assert_eq!(watchman.on(s(2), &Event::Signal(Signal::SIGINT)), [Deed::Forward(Signal::SIGINT)]);
}

#[test]
fn order_to_start_that_crossed_with_a_request_to_end_is_refused() {
    let mut watchman = Watchman::new(s(60));
    order(&mut watchman, 1, arm(10, 14));
    assert_eq!(watchman.on(s(1), &Event::Signal(Signal::SIGTERM)), [Deed::Tell(Word::Asked { signal: 15 })]);
    let start = Order::Start { term: 7, not_after: s(9) };
    assert_eq!(order(&mut watchman, 1, start), [Deed::Tell(Word::Missed)]);
    assert_eq!(order(&mut watchman, 1, Order::Done { code: 143 }), [Deed::Exit(143)]);
}

#[test]
fn late_or_unguarded_order_to_start_is_refused() {
    let start = |not_after| Order::Start { term: 7, not_after: s(not_after) };
    let mut unarmed = Watchman::new(s(60));
    assert_eq!(order(&mut unarmed, 1, start(9)), [Deed::Tell(Word::Missed)]);
    for (now, not_after) in [(9, 9), (12, 9), (1, 15), (14, 20)] {
        let mut watchman = Watchman::new(s(60));
        order(&mut watchman, 1, arm(10, 14));
        assert_eq!(
            order(&mut watchman, now, start(not_after)),
            [Deed::Tell(Word::Missed)],
            "{now} {not_after}"
        );
        order(&mut watchman, now, arm(100, 140));
        // A keeper that was frozen for longer than a lease must not keep the lease for ever without a command.
        let asked_again = order(&mut watchman, now, start(90));
        assert_eq!(asked_again, [Deed::Start { term: 7, not_after: s(90) }], "asked again in time");
    }
}

#[test]
fn second_order_to_start_starts_nothing() {
    let mut watchman = running();
    assert_eq!(order(&mut watchman, 2, Order::Start { term: 8, not_after: s(9) }), []);
    assert_eq!(watchman.on(s(10), &Event::Tick).len(), 2, "the first is guarded as before");
}

#[test]
fn elector_that_is_gone_while_waiting_ends_the_container() {
    assert_eq!(Watchman::new(s(60)).on(s(1), &Event::ElectorGone), [Deed::Exit(FAILED)]);
}

#[test]
fn elector_that_never_says_good_bye_does_not_hold_the_container() {
    let mut watchman = running();
    watchman.on(s(2), &Event::Ended { code: 0 });
    watchman.on(s(2), &Event::Clear);
    assert_eq!(watchman.deadline(), Some(s(62)));
    assert_eq!(watchman.on(s(62), &Event::Tick), [Deed::Exit(FAILED)]);
}

#[test]
fn kill_order_kills_once() {
    let mut watchman = running();
    assert_eq!(order(&mut watchman, 2, Order::Kill), [Deed::KillAll]);
    assert_eq!(order(&mut watchman, 2, Order::Kill), []);
    assert_eq!(watchman.on(s(60), &Event::Tick), [], "deadlines are over");
}
