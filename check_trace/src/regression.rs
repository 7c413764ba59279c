//! Writes a Rust test that feeds the real [`Supervisor`] what a record or a counterexample of the
//! checker contains.
//!
//! The test asserts what the pool does in each step. The last step of a record that the
//! specification rejects, and the last step of a counterexample that the code follows to its end,
//! are what the pool must not do: that test fails until the code is fixed.

use std::fmt::Write as _;
use std::time::Duration;

use ostler::WorkerId;
use ostler::policy::Policy;
use ostler::supervisor::{Effect, Event, Input, Milestone, Reason, Supervisor, Timer};
use ostler::trace::{Head, Step};
use ostler::worker::Phase;

use crate::shown::shown;
use crate::trace_check::Refused;
use crate::trace_mirror::Mirror;

/// The function that the test shares with this program.
const SHOWN: &str = include_str!("shown.rs");

/// A test in the making.
pub(crate) struct Test {
    pub(crate) about: String,
    pub(crate) policy: Policy,
    /// What a new pool does.
    pub(crate) opened: String,
    /// Each input, and what the pool does with it.
    pub(crate) steps: Vec<(Input, String)>,
    /// Whether the pool must not do what the last step says.
    pub(crate) never: bool,
}

/// A test from a record, up to the step that the specification refuses.
///
/// # Errors
///
/// This version of the code does something else before that step, or the difference to the record
/// is one that the test would not see.
pub(crate) fn of_trace(
    head: &Head,
    steps: &[Step],
    refused: Option<&Refused>,
) -> Result<String, String> {
    // Limits vary at random, so the record says when a worker reached one, and the test lets it
    // reach its age then.
    let policy = Policy {
        max_worker_requests: None,
        max_worker_memory: None,
        error_threshold: None,
        min_worker_life: Duration::ZERO,
        ..head.policy.clone()
    };
    let mut mirror = Mirror::new(&policy);
    let mut pool = supervisor(&policy)?;
    let mut test = Test {
        about: match refused {
            Some(refused) => format!(
                "Line {} of the record is wrong: {}",
                refused.line,
                first_line(&refused.problem)
            ),
            None => format!(
                "The specification allows all of the {} lines of the record.",
                steps.len()
            ),
        },
        policy,
        opened: String::new(),
        steps: Vec::new(),
        never: refused.is_some(),
    };
    let last = refused.map_or(steps.len(), |refused| refused.line - 1);
    for (n, step) in steps[..last].iter().enumerate() {
        let is_last = n + 1 == last;
        let told = mirror.step(step);
        if !is_last {
            told?;
        }
        let recorded = shown(&step.effects, &mirror.phases());
        for input in aged(step) {
            let does = feed(&mut pool, input)?.0;
            test.steps.push((input, does));
        }
        let (does, effects) = match step.input {
            Some(input) => feed(&mut pool, input)?,
            None => take(&mut pool),
        };
        let is_wrong = is_last && test.never;
        if does != recorded && !is_wrong {
            return Err(format!(
                "line {}: this version of the code does something else.\nrecorded: {recorded}\n     now: {does}",
                n + 2
            ));
        }
        if is_wrong && does == recorded && !same(&effects, &step.effects) {
            return Err("this version of the code does not do what is wrong there, but the test could not tell".into());
        }
        match step.input {
            Some(input) => test.steps.push((input, recorded)),
            None => test.opened = recorded,
        }
    }
    Ok(test.render())
}

pub(crate) fn supervisor(policy: &Policy) -> Result<Supervisor, String> {
    Supervisor::new(policy.clone(), 1).map_err(|invalid| invalid.to_string())
}

pub(crate) fn feed(pool: &mut Supervisor, input: Input) -> Result<(String, Vec<Effect>), String> {
    pool.feed(input)
        .map_err(|illegal| format!("{input:?}: {illegal}"))?;
    Ok(take(pool))
}

pub(crate) fn take(pool: &mut Supervisor) -> (String, Vec<Effect>) {
    let effects: Vec<Effect> = pool.take_effects().collect();
    let workers: Vec<_> = pool
        .workers()
        .map(|view| (view.worker, view.phase))
        .collect();
    (shown(&effects, &workers), effects)
}

/// The ages that workers must reach before this step, because they reach a limit in it.
fn aged(step: &Step) -> Vec<Input> {
    let limited = step.effects.iter().filter_map(|effect| match effect {
        Effect::Event(Event::Replacing {
            worker,
            reason: Reason::Limit(_),
        }) => {
            let milestone = Milestone::Age;
            let timer = Timer::Milestone {
                worker: *worker,
                milestone,
            };
            Some(Input::Elapsed { timer })
        }
        _ => None,
    });
    limited.filter(|input| step.input != Some(*input)).collect()
}

/// Whether two pools gave the same effects, but for times.
fn same(one: &[Effect], other: &[Effect]) -> bool {
    let timeless = |effects: &[Effect]| -> Vec<Effect> {
        let timeless = effects.iter().map(|effect| match *effect {
            Effect::StartTimer { timer, .. } => Effect::StartTimer {
                timer,
                after: Duration::ZERO,
            },
            other => other,
        });
        timeless.collect()
    };
    timeless(one) == timeless(other)
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

impl Mirror {
    /// The workers that are not gone, in the order of their slots, with their phases.
    fn phases(&self) -> Vec<(WorkerId, Phase)> {
        let workers = self.workers.iter().flatten();
        let mut phases: Vec<_> = (workers.filter(|worker| worker.phase != Phase::Terminated))
            .map(|worker| (worker.id, worker.phase))
            .collect();
        phases.sort_by_key(|(worker, _)| worker.slot);
        phases
    }
}

impl Test {
    pub(crate) fn render(&self) -> String {
        self.write().expect("a string can be written to")
    }

    fn write(&self) -> Result<String, std::fmt::Error> {
        let mut out = String::new();
        let policy = &self.policy;
        writeln!(out, "//! Written by `ostler-check-trace --regression`.\n")?;
        writeln!(
            out,
            "use std::time::Duration;\n\nuse ostler::supervisor::*;\nuse ostler::*;\n"
        )?;
        for line in wrap(&self.about) {
            writeln!(out, "/// {line}")?;
        }
        write!(
            out,
            "#[test]\nfn regression() {{\n    let policy = Policy {{\n"
        )?;
        writeln!(out, "        surge: {},", policy.surge)?;
        writeln!(out, "        max_starting: {},", policy.max_starting)?;
        writeln!(out, "        crash_loop: {},", policy.crash_loop)?;
        writeln!(out, "        max_waiting: {},", policy.max_waiting)?;
        writeln!(out, "        max_sessions: {},", policy.max_sessions)?;
        writeln!(
            out,
            "        enable_health_monitoring: {},",
            policy.enable_health_monitoring
        )?;
        writeln!(
            out,
            "        health_failure_threshold: {},",
            policy.health_failure_threshold
        )?;
        writeln!(
            out,
            "        max_worker_requests: {:?},",
            policy.max_worker_requests
        )?;
        writeln!(
            out,
            "        error_threshold: {:?},",
            policy.error_threshold
        )?;
        writeln!(out, "        min_worker_life: Duration::ZERO,")?;
        let grace = policy.cancel_grace.map(|_| "Duration::from_secs(1)");
        writeln!(
            out,
            "        cancel_grace: {},",
            format!("{grace:?}").replace('"', "")
        )?;
        writeln!(out, "        ..Policy::new({})\n    }};", policy.size)?;
        writeln!(
            out,
            "    let mut pool = Supervisor::new(policy, 1).expect(\"the policy is valid\");"
        )?;
        let (last, steps) = match self.steps.split_last() {
            Some((last, steps)) if self.never => (Some(last), steps),
            _ => (None, &self.steps[..]),
        };
        let opened = if self.never && self.steps.is_empty() {
            "assert_ne"
        } else {
            "assert_eq"
        };
        writeln!(out, "    {opened}!(after(&mut pool), {:?});", self.opened)?;
        writeln!(out, "    let steps: [(Input, &str); {}] = [", steps.len())?;
        for (input, does) in steps {
            writeln!(
                out,
                "        (\n            {},\n            {does:?},\n        ),",
                rust(*input)
            )?;
        }
        writeln!(out, "    ];\n    for (input, does) in steps {{")?;
        writeln!(
            out,
            "        pool.feed(input).expect(\"the pool accepts the input\");"
        )?;
        writeln!(
            out,
            "        assert_eq!(after(&mut pool), does, \"after {{input:?}}\");\n    }}"
        )?;
        if let Some((input, does)) = last {
            writeln!(out, "    // The specification does not allow this.")?;
            writeln!(
                out,
                "    pool.feed({}).expect(\"the pool accepts the input\");",
                rust(*input)
            )?;
            writeln!(
                out,
                "    assert_ne!(\n        after(&mut pool),\n        {does:?}\n    );"
            )?;
        }
        write!(
            out,
            "}}\n\nfn after(pool: &mut Supervisor) -> String {{\n    \
             let effects: Vec<Effect> = pool.take_effects().collect();\n    \
             let workers: Vec<_> = pool.workers().map(|view| (view.worker, view.phase)).collect();\n    \
             shown(&effects, &workers)\n}}\n\n"
        )?;
        let function = SHOWN
            .find("/// What the pool")
            .map_or("", |at| &SHOWN[at..]);
        out.push_str(&function.replace("pub(crate) fn", "fn"));
        Ok(out)
    }
}

/// The input as Rust: its debug form, with paths.
fn rust(input: Input) -> String {
    let text = format!("Input::{input:?}")
        .replace("fact: ", "fact: PortFact::")
        .replace("end: ", "end: LeaseEnd::")
        .replace("LeaseEnd::Fault(", "LeaseEnd::Fault(Fault::")
        .replace("Cancellable(", "Cancellable(Fault::")
        .replace("milestone: ", "milestone: Milestone::");
    text.replace(", timer: ", ", timer: worker::Timer::")
        .replace("Elapsed { timer: ", "Elapsed { timer: Timer::")
}

/// Lines of at most 90 columns.
fn wrap(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is one");
        if line.is_empty() {
            line.push_str(word);
        } else if line.len() + word.len() < 90 {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}
