//! Does the supervisor give the right effects, and no others, in every order of events?
//!
//! Random sequences of actions by clients, ports, timers and applications run on the real
//! supervisor in its [`World`] and on a [`Model`] that predicts its effects and its visible state.
//! The world checks its invariants after each step; at the end time runs out, and every client has
//! had an answer.
//!
//! Actions are resolved in the model's state, so a sequence stays meaningful when shrinking removes
//! some of them. An action without a subject is counted. Failed sequences are kept in
//! `tests/proptest-regressions/` and run first. `PROPTEST_CASES=100000` makes a long run;
//! `--nocapture` prints what it covered.

use std::cell::RefCell;
use std::env;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};

use crate::beside;
use crate::model::Model;
use crate::model_actions::Action;
use crate::model_random::{action, policy};
use crate::model_tally::Tally;
use crate::world::World;

impl ReferenceStateMachine for Model {
    type State = Self;
    type Transition = Action;

    fn init_state() -> BoxedStrategy<Self> {
        policy().prop_map(Self::new).boxed()
    }

    fn transitions(model: &Self) -> BoxedStrategy<Action> {
        action(model)
    }

    fn apply(mut model: Self, action: &Action) -> Self {
        model.act(*action);
        model
    }
}

struct Beside;

thread_local! {
    /// The coverage of all sequences: proptest runs them in order and has no place for a sum.
    static TALLY: RefCell<Tally> = RefCell::default();
}

impl StateMachineTest for Beside {
    type SystemUnderTest = World;
    type Reference = Model;

    fn init_test(model: &Model) -> World {
        beside::begin_with(model)
    }

    fn apply(mut world: World, model: &Model, action: Action) -> World {
        let late = beside::follow(&mut world, model);
        TALLY.with_borrow_mut(|tally| tally.action(action, model, late));
        world
    }

    fn teardown(world: World, _: Model) {
        beside::end(world);
    }
}

/// L4, L6, L7, L8, L10, L11, L15, L16, L17, C1, C2, P12: in a thousand pools or more, after each
/// random action, the supervisor gives the effects and shows the state that the model predicts.
/// Each pool shuts down, and the run covers everything that can happen.
#[test]
fn every_order_of_events_is_answered_as_the_model_says() {
    let cases = match env::var_os("PROPTEST_CASES") {
        Some(_) => Config::default().cases,
        None => 1_000,
    };
    let config = Config {
        cases,
        source_file: Some(file!()),
        ..Config::default()
    };
    let sequences = Model::sequential_strategy(1..150);
    let missing = || TALLY.with_borrow(|tally| tally.missing());
    // A rare thing may not happen in the first thousand pools.
    for _ in 0..5 {
        let outcome = TestRunner::new(config.clone()).run(&sequences, |(model, actions, seen)| {
            Beside::test_sequential(config.clone(), model, actions, seen);
            Ok(())
        });
        if let Err(failure) = outcome {
            panic!("{failure}");
        }
        if cases < 1_000 || missing().is_empty() {
            break;
        }
    }
    TALLY.with_borrow(|tally| println!("{tally}"));
    if cases >= 1_000 {
        assert_eq!(missing(), [""; 0]);
    }
}
