//! Does the real [`Supervisor`](ostler::Supervisor) take only steps that `spec/WorkerPool.tla`
//! allows, and every action of it?
//!
//! Small pools are explored in every order of events. Each step of the code becomes actions of the
//! specification (`trace_mirror`), each state becomes values of its variables (`graph_node`), and
//! the model checker says whether those actions lead from one state to the other.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use ostler::Policy;
use ostler::supervisor::{PortFact, Timer};
use ostler::worker;
use tla_checker::ast::{State, Value};
use tla_checker::checker::format_value;

use crate::graph_explore::{Graph, World};
use crate::graph_step::Happening;
use crate::spec_checks::assert_same;
use crate::spec_graph::decisions;
use crate::spec_model;
use crate::spec_support::Model;
use crate::trace_names::kind;

/// The small pools to explore, each for what may go wrong in it.
fn worlds() -> [(&'static str, World); 6] {
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
            H::Port(..) | H::BackoffElapses(_) | H::RecycleAll => true,
            H::Checkout(..) | H::Checkin(_) => true,
            H::Deadline(_, timer) => is_start_deadline(timer),
            _ => false,
        },
        ..world.clone()
    };
    let sessions = World {
        policy: policy(1),
        trouble: 2,
        may: concerns_started_workers,
        ..world.clone()
    };
    let sizes = World {
        clients: 1,
        sessions: 0,
        sizes: vec![1, 3],
        trouble: 2,
        may: |happening| match happening {
            H::Resize(_) | H::Recycle(_) | H::Drain | H::Resume => true,
            H::Shutdown | H::ShutdownNow => true,
            H::Port(_, fact) => !is_failed_start(fact),
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
        may: concerns_started_workers,
        ..world.clone()
    };
    let cancels = World {
        policy: Policy {
            cancel_grace: Some(Duration::from_secs(1)),
            ..policy(1)
        },
        trouble: 2,
        may: |happening| match happening {
            H::Drain | H::Resume => true,
            H::EndSession(_) | H::Sweeps | H::Recycle(_) => false,
            other => concerns_started_workers(other),
        },
        ..world
    };
    [
        ("Everything", everything),
        ("Failures", failures),
        ("Sessions", sessions),
        ("Sizes", sizes),
        ("Probes", probes),
        ("Cancels", cancels),
    ]
}

fn concerns_started_workers(happening: Happening) -> bool {
    use Happening as H;
    match happening {
        H::Fault(_) | H::GiveUp(_) | H::RecycleAll | H::Drain | H::Resume => false,
        H::Port(_, fact) => !is_failed_start(fact),
        H::Deadline(_, timer) => !is_start_deadline(timer),
        _ => true,
    }
}

fn is_failed_start(fact: PortFact) -> bool {
    matches!(fact, PortFact::StartFailed { .. })
}

fn is_start_deadline(timer: Timer) -> bool {
    let Timer::Worker { timer, .. } = timer else {
        return false;
    };
    timer == worker::Timer::Start
}

/// T4: the specification allows every step of the code, and the code takes every action of the
/// specification.
#[test]
fn the_code_takes_the_steps_of_the_specification() {
    let mut taken = BTreeSet::new();
    let mut actions = BTreeSet::new();
    for (name, world) in worlds() {
        let since = Instant::now();
        let graph = world.explore();
        let model = model(name, &world, &graph);
        taken.append(&mut check(name, &graph, &model));
        actions.extend(
            model
                .action_names()
                .into_iter()
                .map(|name| kind(name).to_owned()),
        );
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

/// The same, with two things going wrong in one history of a pool where everything may.
#[test]
#[ignore = "takes minutes"]
fn the_code_takes_the_steps_of_the_specification_in_a_larger_pool() {
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

/// Checks each step against the specification. Returns the names of the actions that were taken.
///
/// # Panics
///
/// At the first step that the specification does not allow.
fn check(name: &str, graph: &Graph, model: &Model) -> BTreeSet<String> {
    let states: Vec<State> = (graph.states.iter())
        .map(|variables| model.state(&variables.each_ref().map(|(name, value)| (*name, &**value))))
        .collect();
    for (number, state) in states.iter().enumerate() {
        let settled = model.eval_in(state, "Settled") == Value::Bool(true);
        assert!(
            settled,
            "{name}: the code is not settled in\n{}",
            variables(graph, number)
        );
    }
    let mut taken = BTreeSet::new();
    let mut decisions = decisions();
    // The pool may notice a limit while it settles.
    decisions.insert("Replace".into());
    for (from, to, actions) in &graph.steps {
        let refuse = |problem: &str| -> ! {
            let step = tell(graph, *from, actions, problem);
            panic!("{name}: the code takes a step that the specification does not allow\n{step}")
        };
        let mut reached = vec![states[*from].clone()];
        for (n, action) in actions.iter().enumerate() {
            taken.insert(kind(action).to_owned());
            // The state before the first one is settled.
            if n > 0 && !decisions.contains(kind(action)) {
                reached.retain(|s| model.eval_in(s, "Settled") == Value::Bool(true));
                if reached.is_empty() {
                    refuse(&format!("{action} comes before the pool has settled"));
                }
            }
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

/// Describes a step: its first state, what the code did, and what is wrong with it.
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

/// Prints a state, a line for each variable.
fn variables(graph: &Graph, number: usize) -> String {
    let lines = graph.states[number]
        .iter()
        .map(|(name, value)| format!("  {name} = {value}\n"));
    lines.collect()
}

/// The variables in which code and specification reached different states.
fn difference(graph: &Graph, model: &Model, to: usize, reached: &State) -> String {
    let mut out = String::from("it reached another state:");
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

/// The specification, configured as the explored pool.
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
