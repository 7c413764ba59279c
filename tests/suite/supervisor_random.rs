//! Does the supervisor do what it must, and nothing else, in every order of events?
//!
//! Random sequences of what clients, ports, timers and owners may do run on the real supervisor in its [`World`] and,
//! beside it, on a [`Model`] that says beforehand what the supervisor must say and what must be seen of it. The world
//! checks its own promises after each step; at the end time runs out, and everyone has had an answer.
//!
//! Actions are resolved in the model's state, so that whatever shrinking leaves out, the rest still means something: none
//! is ever refused, and one that applies to nobody is counted. Sequences that failed are kept in
//! `tests/proptest-regressions/` and tried first. `PROPTEST_CASES=100000` makes for a long run, and `--nocapture` prints what
//! happened in it, and how often.

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
    /// What happened in all sequences: proptest runs them one after the other, and has no place for what they add up to.
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

/// L4, L6, L7, L8, L10, L11, L15, L16, L17, C1, C2, P12: the supervisor says and shows what the model does, after each of many
/// random actions, in a thousand pools; each comes to an end, and everything that can happen has happened.
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
    let outcome = TestRunner::new(config.clone()).run(&sequences, |(model, actions, seen)| {
        Beside::test_sequential(config.clone(), model, actions, seen);
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    TALLY.with_borrow(|tally| {
        println!("{tally}");
        if cases >= 1_000 {
            assert_eq!(tally.missing(), [""; 0]);
        }
    });
}
