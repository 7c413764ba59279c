//! Obligations: does every step from a state where the invariant holds lead to one where a clause
//! holds?

use std::fmt;

use tla_checker::ast::Expr;

use crate::induct_actions::Step;
use crate::induct_formula::{Lit, Model, Prover};
use crate::induct_source::Source;
use crate::induct_state::Translator;
use crate::induct_value::Scope;

/// How many workers, clients and sessions have names. A step and a goal use at most four, two and
/// two; the others are for elements that are reached from these.
const NAMES: [usize; 3] = [4, 3, 3];

/// What is proved of what.
pub(crate) struct Plan {
    /// The clauses of the invariant, which may be assumed of the state before a step.
    pub(crate) assumed: Vec<String>,
    /// The clauses that must hold after each step, and at first.
    pub(crate) clauses: Vec<String>,
    /// The properties that must hold in each step.
    pub(crate) properties: Vec<String>,
    /// The properties of a state that must follow from the invariant.
    pub(crate) consequences: Vec<String>,
    /// Whether one failure is enough.
    pub(crate) stops: bool,
}

/// How a proof ended.
pub(crate) struct Outcome {
    pub(crate) actions: usize,
    /// Each is an action and a goal, or `Init` and a clause, or a consequence.
    pub(crate) obligations: usize,
    pub(crate) failures: Vec<Failure>,
}

/// A goal that a step may make false.
pub(crate) struct Failure {
    pub(crate) action: String,
    pub(crate) goal: String,
    pub(crate) counterexample: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} breaks {}:\n{}",
            self.action, self.goal, self.counterexample
        )
    }
}

/// Tries to prove all of a plan.
pub(crate) fn prove(source: &Source, plan: &Plan) -> Outcome {
    let mut outcome = Outcome {
        actions: 0,
        obligations: 0,
        failures: Vec::new(),
    };
    let mut proof = Proof::new(source, &[]);
    let steps = proof.translator.initial();
    for clause in &plan.clauses {
        outcome.prove(&mut proof, "Init", &steps, clause, source.primed(clause));
    }
    let mut proof = Proof::new(source, &plan.assumed);
    for name in &plan.consequences {
        let here = [Step::default()];
        outcome.prove(&mut proof, "no step", &here, name, source.definition(name));
    }
    for action in proof.translator.actions() {
        if plan.stops && !outcome.failures.is_empty() {
            break;
        }
        let mut proof = Proof::new(source, &plan.assumed);
        let steps = proof.translator.steps(&action);
        for clause in &plan.clauses {
            outcome.prove(
                &mut proof,
                action.label,
                &steps,
                clause,
                source.primed(clause),
            );
        }
        for name in &plan.properties {
            outcome.prove(
                &mut proof,
                action.label,
                &steps,
                name,
                source.step_property(name),
            );
        }
        outcome.actions += 1;
    }
    outcome
}

impl Outcome {
    fn prove<'a>(
        &mut self,
        proof: &mut Proof<'a>,
        action: &str,
        steps: &[Step<'a>],
        name: &str,
        goal: &'a Expr,
    ) {
        self.obligations += 1;
        for step in steps {
            if let Some(model) = proof.refute(step, goal) {
                let call = action.rsplit(" : ").next().unwrap_or(action);
                self.failures.push(Failure {
                    action: call.to_owned(),
                    goal: name.to_owned(),
                    counterexample: proof.translator.tell(&model, step),
                });
                return;
            }
        }
    }
}

/// The invariant, assumed of the state before a step.
pub(crate) struct Proof<'a> {
    pub(crate) translator: Translator<'a>,
    prover: Prover,
}

impl<'a> Proof<'a> {
    pub(crate) fn new(source: &'a Source, assumed: &[String]) -> Self {
        let mut translator = Translator::new(source, NAMES);
        let mut prover = Prover::new();
        for clause in assumed {
            let holds = translator.truth(source.definition(clause), &Scope::default());
            prover.assume(&translator.formulas, holds);
        }
        Self { translator, prover }
    }

    /// A state in which all of some formulas hold, if there is one.
    pub(crate) fn model(&mut self, formulas: &[Lit]) -> Option<Model> {
        self.prover.model(&self.translator.formulas, formulas)
    }

    /// Searches for a step after which, or in which, a goal is false.
    fn refute(&mut self, step: &Step<'a>, goal: &'a Expr) -> Option<Model> {
        let t = &mut self.translator;
        t.after.clone_from(&step.after);
        t.thorough = false;
        t.search(&mut self.prover, step, goal)?;
        t.thorough = true;
        t.search(&mut self.prover, step, goal)
    }
}
