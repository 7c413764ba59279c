//! Does the real [`Supervisor`](ostler::Supervisor) do what `spec/WorkerPool.tla` allows, and all of it?
//!
//! Small pools are explored in every order of events. Each step that the code takes is told in the actions of the
//! specification (`trace_mirror`), each state in its variables (`graph_node`), and the specification is asked whether those
//! actions lead from the one state to the other.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Instant;

use ostler::Policy;
use ostler::supervisor::{PortFact, Timer};
use ostler::worker;
use tla_checker::ast::{State, Value};
use tla_checker::checker::format_value;

use crate::graph_explore::{Graph, World};
use crate::graph_step::Happening;
use crate::spec_model;
use crate::spec_support::{Model, assert_same};

/// The small pools that are explored, each for what may go wrong in it.
fn worlds() -> [(&'static str, World); 5] {
    use Happening as H;
    let policy = |size| Policy {
        max_starting: 2,
        max_waiting: 1,
        max_sessions: 1,
        crash_loop: 2,
        health_failure_threshold: 1,
        enable_health_monitoring: false,
        ..Policy::new(size)
    };
    let world = World {
        policy: policy(2),
        clients: 2,
        sessions: 1,
        sizes: vec![],
        trouble: 1,
        may: |_| true,
    };
    let everything = world.clone();
    let failures = World {
        clients: 1,
        sessions: 0,
        trouble: 2,
        may: |happening| match happening {
            H::Port(..) | H::PauseEnds(_) | H::RecycleAll => true,
            H::Checkout(..) | H::Checkin(_) => true,
            H::Deadline(_, timer) => is_of_the_start(timer),
            _ => false,
        },
        ..world.clone()
    };
    let sessions = World {
        policy: policy(1),
        trouble: 2,
        may: is_a_matter_of_workers_that_have_started,
        ..world.clone()
    };
    let sizes = World {
        clients: 1,
        sessions: 0,
        sizes: vec![1, 3],
        trouble: 2,
        may: |happening| match happening {
            H::Resize(_) | H::Recycle(_) | H::Shutdown | H::Pause | H::Resume => true,
            H::Port(_, fact) => fact != PortFact::StartFailed,
            H::Checkout(..) | H::Checkin(_) => true,
            _ => false,
        },
        ..world.clone()
    };
    let probes = World {
        policy: Policy {
            enable_health_monitoring: true,
            ..policy(1)
        },
        clients: 1,
        trouble: 2,
        may: is_a_matter_of_workers_that_have_started,
        ..world
    };
    [
        ("Everything", everything),
        ("Failures", failures),
        ("Sessions", sessions),
        ("Sizes", sizes),
        ("Probes", probes),
    ]
}

fn is_a_matter_of_workers_that_have_started(happening: Happening) -> bool {
    use Happening as H;
    match happening {
        H::Fault(_) | H::GiveUp(_) | H::RecycleAll | H::Pause | H::Resume => false,
        H::Port(_, fact) => fact != PortFact::StartFailed,
        H::Deadline(_, timer) => !is_of_the_start(timer),
        _ => true,
    }
}

fn is_of_the_start(timer: Timer) -> bool {
    let Timer::Worker { timer, .. } = timer else {
        return false;
    };
    timer == worker::Timer::Start
}

/// T4: every step that the code takes is one that the specification allows, and every action of the specification is
/// taken by the code.
#[test]
fn the_code_does_what_the_specification_allows() {
    let mut taken = BTreeSet::new();
    let mut actions = BTreeSet::new();
    for (name, world) in worlds() {
        let since = Instant::now();
        let graph = world.explore();
        let model = model(name, &world, &graph);
        taken.append(&mut check(name, &graph, &model));
        actions.extend(model.action_names().into_iter().map(base));
        println!(
            "{name}: {} states and {} steps of the code, which are {} and {} to the specification, in {:.1} s",
            graph.nodes,
            graph.taken,
            graph.states.len(),
            graph.steps.len(),
            since.elapsed().as_secs_f64()
        );
    }
    assert_same(&taken, &actions, "actions that the code takes");
}

/// The same, with two things going wrong in a pool where everything may.
#[test]
#[ignore = "takes minutes: 327,526 states of the code"]
fn the_code_does_what_the_specification_allows_in_a_larger_pool() {
    let [(_, everything), ..] = worlds();
    let world = World {
        trouble: 2,
        ..everything
    };
    let graph = world.explore();
    let model = model("Larger", &world, &graph);
    check("Larger", &graph, &model);
    println!(
        "{} states and {} steps of the code, which are {} and {} to the specification",
        graph.nodes,
        graph.taken,
        graph.states.len(),
        graph.steps.len()
    );
}

/// Asks the specification about each step, and panics with those that it does not allow: the names of the actions that
/// were taken.
fn check(name: &str, graph: &Graph, model: &Model) -> BTreeSet<String> {
    let states: Vec<State> = (graph.states.iter())
        .map(|variables| model.state(&variables.each_ref().map(|(name, value)| (*name, &**value))))
        .collect();
    for (number, state) in states.iter().enumerate() {
        let settled = model.eval_in(state, "Settled") == Value::Bool(true);
        assert!(
            settled,
            "{name}: the code has left something undone in\n{}",
            variables(graph, number)
        );
    }
    let mut taken = BTreeSet::new();
    for (from, to, actions) in &graph.steps {
        let refuse = |problem: &str| -> ! {
            let step = tell(graph, *from, actions, problem);
            panic!("{name}: the code takes a step that the specification does not allow\n{step}")
        };
        let mut reached = vec![states[*from].clone()];
        for action in actions {
            taken.insert(base(action));
            reached = reached.iter().flat_map(|s| model.next(s, action)).collect();
            if reached.is_empty() {
                refuse(&format!("{action} is not possible"));
            }
        }
        if !reached.contains(&states[*to]) {
            refuse(&difference(graph, model, *to, &reached[0]));
        }
    }
    taken
}

/// A step for people: where it began, what the code did, and what is wrong with that.
fn tell(graph: &Graph, from: usize, actions: &[String], problem: &str) -> String {
    let actions = match actions {
        [] => "nothing".into(),
        actions => actions.join(", then "),
    };
    format!(
        "in the state\n{}the code did: {actions}\nbut {problem}",
        variables(graph, from)
    )
}

/// A state for people, a line for each variable.
fn variables(graph: &Graph, number: usize) -> String {
    let lines = graph.states[number]
        .iter()
        .map(|(name, value)| format!("  {name} = {value}\n"));
    lines.collect()
}

/// Where the code came to another state than the specification.
fn difference(graph: &Graph, model: &Model, to: usize, reached: &State) -> String {
    let mut out = String::from("it came to another state:");
    for (name, value) in &graph.states[to] {
        let (code, spec) = (model.eval(value), model.eval_in(reached, name));
        if code != spec {
            write!(
                out,
                "\n  {name}: spec says {}, code says {}",
                format_value(&spec),
                format_value(&code)
            )
            .expect("a string can be written to");
        }
    }
    out
}

/// An action's name, without what it is about.
fn base(action: impl AsRef<str>) -> String {
    let name = action.as_ref().split('(').next();
    name.unwrap_or_default().to_owned()
}

/// The specification, of a pool like the one that was explored.
fn model(name: &str, world: &World, graph: &Graph) -> Model {
    let around = spec_model::World {
        workers: graph.workers,
        clients: world.clients,
        sessions: world.sessions,
        sizes: world.sizes.iter().copied().collect(),
    };
    spec_model::model(
        &format!("Graph{name}"),
        "WorkerPool",
        &world.policy,
        &around,
    )
}
