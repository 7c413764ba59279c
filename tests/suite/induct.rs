//! Safety for any number of workers, clients and sessions, by induction.
//!
//! The invariant is `Inductive` in `spec/WorkerPoolProof.tla`. It must hold at first, and every
//! action must keep it. For each action and each clause, one obligation: no step of the action
//! leads from a state where the invariant holds to one where the clause is false. Each is
//! translated from the parsed text of the specification to a propositional formula, and a SAT
//! solver shows that the formula has no model.
//!
//! Why a formula about a few elements speaks of pools of any size. Take any pool, and any step that
//! breaks a clause. Give names to the parameters of the action and to elements that make the clause
//! false. There are few of these, so there are names enough (`induct_goal`). Everything else is the
//! *rest*. Each bit of the formula now has a value: what this state says of a named element, or,
//! for a quantifier, whether some element of the rest has a property (`induct_sets`). With these
//! values, each translated expression has the truth value of the expression itself. So the step is
//! a model of the formula. If the formula has no model, no pool has such a step.
//!
//! What the translation does not know, such as the order of the queue, is a bit without a
//! constraint: it can only make a proof fail. A model is thus a counterexample to induction, or
//! says that the translation is too coarse.

use std::collections::BTreeSet;
use std::fs;

use crate::induct_prove::{Plan, Proof, prove};
use crate::induct_source::Source;
use crate::induct_value::Scope;
use crate::spec_checks::{assert_same, properties_of};
use crate::spec_support::spec_dir;

/// The properties of a state that follow from the invariant in that state.
pub(crate) const CONSEQUENCES: [&str; 13] = [
    "QueueIsBounded",
    "NoClientWaitsBesideIdle",
    "NoClientWaitsInCrashLoop",
    "DrainsEndWithSessions",
    "ClosingRefusesWaiters",
    "QuietIsDrained",
    "SessionsHaveAWorker",
    "ShutdownWaitsForDraining",
    "SparedHaveRetired",
    "VacanciesAreFilled",
    "NoSurplus",
    "IdleSessionsHoldNoShutdown",
    "LastRungsAreRepeatedAtTheBound",
];

/// The properties of `WorkerPool` that are not proved for any number, and why.
const NOT_PROVED: [(&str, &str); 15] = [
    ("FirstComeFirstServed", "order of the queue"),
    ("ClientsJoinAtTheEnd", "order of the queue"),
    ("OnlyTheHopelessAreRefused", "order of the queue"),
    ("EveryStartEnds", "liveness"),
    ("EveryDrainEnds", "liveness"),
    ("EveryStopEnds", "liveness"),
    ("AbandonedAreReleased", "liveness"),
    ("EveryWaitEnds", "liveness"),
    ("EveryCancelEnds", "liveness"),
    ("TheSizeIsRestored", "liveness"),
    ("SurplusIsReleased", "liveness"),
    ("EveryRollingEnds", "liveness"),
    ("ShutdownDrains", "liveness"),
    ("ShutdownEnds", "liveness"),
    ("DrainsEnd", "liveness"),
];

/// What the properties rely on, each with a goal that fails without it.
pub(crate) const STRENGTHENING: [(&str, &str); 7] = [
    ("PortsComeWithWorkers", "NeverTooManyPorts"),
    ("LivePortsFit", "PortsFollow"),
    ("AbsentHaveNoLease", "NeverRefused"),
    ("WaitersHaveOpenSessions", "SessionsNeverMove"),
    ("HomesHaveServed", "SessionsHaveAWorker"),
    ("UnboundHaveNoLease", "SessionLeasesAreAtHome"),
    ("StoppedRollingHasChosen", "StoppedRollingKeeps"),
];

/// Properties that only the proof states.
pub(crate) const OWN: [&str; 2] = ["ReapedHaveExited", "ExitedAreReaped"];

/// Every step keeps the invariant and has the properties, for any number of workers, clients and
/// sessions.
#[test]
fn induct_every_step_keeps_the_invariant() {
    let source = source();
    let plan = everything(&source);
    let outcome = prove(&source, &plan);
    let failures: Vec<String> = outcome.failures.iter().map(ToString::to_string).collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
    let goals = plan.clauses.len() + plan.properties.len();
    println!(
        "induction: {} actions x {goals} formulas, {} initial, {} consequences: \
         {} obligations proved for any number of workers, clients and sessions",
        outcome.actions,
        plan.clauses.len(),
        plan.consequences.len(),
        outcome.obligations,
    );
    let expected = (outcome.actions * goals) + plan.clauses.len() + plan.consequences.len();
    assert_eq!(outcome.obligations, expected);
}

/// Each property of the pool is a clause of the invariant, a consequence of it, proved of every
/// step, or listed as not proved.
#[test]
fn induct_every_property_is_proved_or_listed() {
    let source = source();
    let plan = everything(&source);
    let mut listed = Vec::new();
    let only_here = STRENGTHENING.iter().map(|(name, _)| *name).chain(OWN);
    let only_here: BTreeSet<&str> = only_here.collect();
    let clauses = plan.clauses.into_iter();
    listed.extend(clauses.filter(|name| !only_here.contains(&**name)));
    listed.extend(plan.properties);
    listed.extend(plan.consequences);
    listed.extend(NOT_PROVED.map(|(name, _)| name.to_owned()));
    let names: BTreeSet<String> = listed.iter().cloned().collect();
    assert_eq!(listed.len(), names.len(), "a property is listed twice");
    assert_same(&names, &properties_of("WorkerPool"), "properties");
}

/// The invariant allows something: a busy worker, a waiting client and a bound session in one
/// state, and every action.
#[test]
fn induct_invariant_allows_every_action() {
    let source = source();
    let clauses = source.conjuncts("Inductive");
    let mut proof = Proof::new(&source, &clauses);
    let busy = source.definition("ProofIsNotVacuous");
    let busy = proof.translator.truth(busy, &Scope::default());
    assert!(
        proof.model(&[busy]).is_some(),
        "the invariant excludes a busy pool"
    );
    for action in proof.translator.actions() {
        let mut proof = Proof::new(&source, &clauses);
        let steps = proof.translator.steps(&action);
        let possible = steps
            .iter()
            .any(|step| proof.model(&[step.condition]).is_some());
        assert!(possible, "the invariant excludes {}", action.label);
    }
}

/// No strengthening clause is idle.
#[test]
fn induct_each_clause_is_needed() {
    let source = source();
    for (clause, goal) in STRENGTHENING {
        let mut plan = everything(&source).only(goal);
        plan.assumed.retain(|assumed| assumed != clause);
        let failed = !prove(&source, &plan).failures.is_empty();
        assert!(failed, "{goal} holds without {clause}");
    }
}

/// All that is proved.
pub(crate) fn everything(source: &Source) -> Plan {
    let clauses = source.conjuncts("Inductive");
    let is_proved = |name: &String| NOT_PROVED.iter().all(|(other, _)| other != name);
    Plan {
        assumed: clauses.clone(),
        clauses,
        properties: source
            .step_properties()
            .into_iter()
            .filter(is_proved)
            .collect(),
        consequences: CONSEQUENCES.map(str::to_owned).into(),
        stops: false,
    }
}

impl Plan {
    /// One goal, up to its first failure.
    pub(crate) fn only(mut self, goal: &str) -> Self {
        for goals in [
            &mut self.clauses,
            &mut self.properties,
            &mut self.consequences,
        ] {
            goals.retain(|name| name == goal);
        }
        self.stops = true;
        self
    }
}

/// The specification and its proof.
pub(crate) fn source() -> Source {
    let [table, pool, proof] = texts();
    Source::of(&table, &pool, &proof).unwrap_or_else(|problem| panic!("{problem}"))
}

pub(crate) fn texts() -> [String; 3] {
    ["WorkerTable", "WorkerPool", "WorkerPoolProof"].map(|module| {
        let path = spec_dir().join(module).with_extension("tla");
        fs::read_to_string(path).expect("the specification can be read")
    })
}
