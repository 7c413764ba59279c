//! Is a trace a behaviour of `spec/WorkerPool.tla`?
//!
//! The mirror maps each step of the trace to actions of the specification, and the model checker
//! says where they lead. A trace leaves some choices open, so a set of states is followed, and
//! after each step those that contradict the trace are dropped.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use ostler::policy::{MAX_SIZE, Policy};
use ostler::supervisor::Input;
use ostler::trace::{Head, Step, VERSION};
use tla_checker::ast::{State, Value};

use crate::spec_model::{World, model};
use crate::spec_support::Model;
use crate::trace_mirror::{Extent, Mirror, Told};
use crate::trace_names::kind;

/// The result of a trace that the specification allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Allowed {
    /// Steps of the trace.
    pub(crate) steps: usize,
    /// How often each action of the specification was taken.
    pub(crate) actions: BTreeMap<String, usize>,
    /// Whether the pool has closed.
    pub(crate) closed: bool,
}

/// The first step that the specification does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Its line in the trace. The head is line 1.
    pub(crate) line: usize,
    pub(crate) step: Step,
    /// Its actions in the specification.
    pub(crate) actions: Vec<String>,
    pub(crate) problem: String,
    /// The state of the specification before it.
    pub(crate) state: String,
}

/// Reads a trace: a line for the head, and one for each step. An incomplete last line, left by a
/// killed writer, is skipped.
pub(crate) fn parse(text: &str) -> Result<(Head, Vec<Step>), String> {
    let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
    let mut lines = whole.lines().enumerate();
    let (_, first) = lines.next().ok_or("the trace is empty")?;
    let head: Head = serde_json::from_str(first)
        .map_err(|error| format!("line 1 is not the head of a trace: {error}"))?;
    if head.ostler_trace != VERSION {
        let found = head.ostler_trace;
        return Err(format!(
            "the trace is of version {found}, and this reads version {VERSION}"
        ));
    }
    let step = |(n, line)| {
        let read = serde_json::from_str(line);
        read.map_err(|error| format!("line {} is not a step: {error}", n + 1))
    };
    Ok((head, lines.map(step).collect::<Result<_, _>>()?))
}

/// Checks a trace from its beginning.
pub(crate) fn check(head: &Head, steps: &[Step]) -> Result<Allowed, Box<Refused>> {
    let mut follower = Follower::new(head, steps);
    for step in steps {
        follower.follow(step)?;
    }
    Ok(follower.allowed)
}

/// The names that the specification needs.
fn world(policy: &Policy, steps: &[Step]) -> World {
    let mut mirror = Mirror::new(policy);
    let mut sizes = BTreeSet::new();
    for step in steps {
        if mirror.step(step).is_err() {
            // The check stops here, too.
            break;
        }
        mirror.forget();
        if let Some(Input::Resize { size }) = step.input {
            sizes.insert(size.clamp(1, MAX_SIZE));
        }
    }
    let Extent {
        workers,
        clients,
        sessions,
    } = mirror.extent();
    let largest = sizes
        .iter()
        .max()
        .map_or(policy.size, |size| *size.max(&policy.size));
    World {
        // The specification lets nothing go wrong with a worker that could not be replaced, and a
        // real pool has no such bound.
        workers: workers + largest + 1,
        // A trace that lacks a step can need one more than its mirror has seen.
        clients: clients + 1,
        sessions: sessions + 1,
        sizes,
    }
}

/// Follows a trace in the specification.
pub(crate) struct Follower {
    model: Model,
    here: Place,
    allowed: Allowed,
}

/// The position in a trace.
#[derive(Clone)]
struct Place {
    mirror: Mirror,
    /// The possible states of the specification. Never empty.
    states: Vec<State>,
}

impl Follower {
    /// `steps` are all steps to come, for the names that they need.
    pub(crate) fn new(head: &Head, steps: &[Step]) -> Self {
        let world = world(&head.policy, steps);
        static TRACES: AtomicUsize = AtomicUsize::new(1);
        // Another process may check traces at the same time.
        let number = TRACES.fetch_add(1, Ordering::Relaxed);
        let name = format!("Trace{number}Of{}", std::process::id());
        let model = model(&name, "WorkerPoolTrace", &head.policy, &world);
        let here = Place {
            mirror: Mirror::new(&head.policy),
            states: model.initial(),
        };
        Self {
            model,
            here,
            allowed: Allowed::default(),
        }
    }

    pub(crate) fn mirror(&self) -> &Mirror {
        &self.here.mirror
    }

    /// Takes the next step.
    pub(crate) fn follow(&mut self, step: &Step) -> Result<(), Box<Refused>> {
        let (there, actions) = self.look(&self.here, self.allowed.steps, step)?;
        self.here = there;
        self.allowed.steps += 1;
        for action in actions {
            let name = kind(&action);
            *self.allowed.actions.entry(name.to_owned()).or_default() += 1;
            self.allowed.closed |= name == "Close";
        }
        Ok(())
    }

    /// Whether this could be the next step.
    pub(crate) fn allows(&self, step: &Step) -> Result<(), Box<Refused>> {
        self.look(&self.here, self.allowed.steps, step).map(drop)
    }

    /// Whether these steps could come next if the step before them is left out.
    pub(crate) fn allows_without(&self, steps: &[Step]) -> Result<(), Box<Refused>> {
        let mut here = self.here.clone();
        for (n, step) in steps.iter().enumerate() {
            (here, _) = self.look(&here, self.allowed.steps + 1 + n, step)?;
        }
        Ok(())
    }

    /// Where step number `n` would lead from a place, and its actions.
    fn look(
        &self,
        from: &Place,
        n: usize,
        step: &Step,
    ) -> Result<(Place, Vec<String>), Box<Refused>> {
        let refused = |actions, problem| {
            Box::new(Refused {
                line: n + 2,
                step: step.clone(),
                actions,
                problem,
                state: self.model.tell(&from.states[0]),
            })
        };
        let mut mirror = from.mirror.clone();
        let told = mirror
            .step(step)
            .map_err(|problem| refused(Vec::new(), problem))?;
        match self.reached(from, &told, &mirror.forget()) {
            Ok(states) => Ok((Place { mirror, states }, told.actions)),
            Err(problem) => Err(refused(told.actions, problem)),
        }
    }

    /// The states that a step may lead to, once released workers are forgotten.
    fn reached(
        &self,
        from: &Place,
        told: &Told,
        forgotten: &[String],
    ) -> Result<Vec<State>, String> {
        let mut reached = self.take(from.states.clone(), &told.actions)?;
        for claim in told.claims.iter().map(String::as_str).chain(["Settled"]) {
            let holds = |state: &State| self.model.eval_in(state, claim) == Value::Bool(true);
            let (agreeing, others): (Vec<State>, _) = reached.into_iter().partition(holds);
            if agreeing.is_empty() {
                let found = self.model.tell(&others[0]);
                return Err(match claim {
                    "Settled" => format!("the pool is not settled in\n{found}"),
                    _ => format!("{claim} is not true of\n{found}"),
                });
            }
            reached = agreeing;
        }
        self.take(reached, forgotten)
    }

    fn take(&self, mut from: Vec<State>, actions: &[String]) -> Result<Vec<State>, String> {
        for action in actions {
            from = (from.iter().flat_map(|state| self.model.next(state, action))).collect();
            if from.is_empty() {
                return Err(format!("{action} is not possible"));
            }
        }
        Ok(from)
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let actions: usize = self.actions.values().sum();
        writeln!(
            f,
            "{} steps, {actions} actions of the specification: all are allowed.",
            self.steps
        )?;
        if !self.closed {
            writeln!(f, "The trace ends before the pool is closed.")?;
        }
        for (action, count) in &self.actions {
            writeln!(f, "{count:9}  {action}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "line {}: the specification does not allow this step.",
            self.line
        )?;
        match self.step.input {
            Some(input) => writeln!(f, "The pool was fed {input:?}")?,
            None => writeln!(f, "The pool opened")?,
        }
        for effect in &self.step.effects {
            writeln!(f, "      and gave {effect:?}")?;
        }
        writeln!(
            f,
            "which is: {}",
            match &*self.actions {
                [] => "nothing".to_owned(),
                actions => actions.join(", then "),
            }
        )?;
        write!(
            f,
            "but {}\nbefore it, the state was\n{}",
            self.problem.trim_end(),
            self.state
        )
    }
}
