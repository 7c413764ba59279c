//! Writes a Rust test that feeds the real [`Supervisor`] what a record or a counterexample of the
//! checker contains.
//!
//! The test asserts what the pool does in each step. The last step of a record that the
//! specification rejects, and the last step of a counterexample that the code follows to its end,
//! are what the pool must not do: that test fails until the code is fixed.

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
/// This version of the code does something else before that step, or the test could not see how it
/// differs from the record.
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
                "line {}: this version of the code does something else.\n\
                 recorded: {recorded}\n     now: {does}",
                n + 2
            ));
        }
        if is_wrong && does == recorded && !same(&effects, &step.effects) {
            return Err(format!(
                "line {}: this version of the code does something else, but looks the same",
                n + 2
            ));
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
        let about: String = wrap(&self.about)
            .map(|line| format!("/// {line}\n"))
            .collect();
        let (last, steps) = match self.steps.split_last() {
            Some((last, steps)) if self.never => (Some(last), steps),
            _ => (None, &self.steps[..]),
        };
        let step = |(input, does): &(Input, String)| {
            let input = rust(*input);
            format!("        (\n            {input},\n            {does:?},\n        ),\n")
        };
        let steps: String = steps.iter().map(step).collect();
        let never = |(input, does): &(Input, String)| {
            let input = rust(*input);
            format!(
                "    // The pool must not do this.\n    \
                 pool.feed({input}).expect(\"the pool accepts the input\");\n    \
                 assert_ne!(\n        after(&mut pool),\n        {does:?}\n    );\n"
            )
        };
        let last = last.map_or(String::new(), never);
        let opened = match self.never && self.steps.is_empty() {
            true => "assert_ne",
            false => "assert_eq",
        };
        let (policy, expected) = (self.policy(), &self.opened);
        let shown = SHOWN.find("/// What the pool").map(|at| &SHOWN[at..]);
        let shown = shown.unwrap_or_default().replace("pub(crate) fn", "fn");
        let test = "#[test]";
        format!(
            r#"//! Written by `ostler-check-trace --regression`.

use std::time::Duration;

use ostler::supervisor::*;
use ostler::*;

{about}{test}
fn regression() {{
    let policy = Policy {{
{policy}    }};
    let mut pool = Supervisor::new(policy, 1).expect("the policy is valid");
    {opened}!(after(&mut pool), {expected:?});
    let steps: &[(Input, &str)] = &[
{steps}    ];
    for &(input, does) in steps {{
        pool.feed(input).expect("the pool accepts the input");
        assert_eq!(after(&mut pool), does, "after {{input:?}}");
    }}
{last}}}

fn after(pool: &mut Supervisor) -> String {{
    let effects: Vec<Effect> = pool.take_effects().collect();
    let workers: Vec<_> = pool.workers().map(|view| (view.worker, view.phase)).collect();
    shown(&effects, &workers)
}}

{shown}"#
        )
    }

    /// The options by which a pool decides, but for times.
    fn policy(&self) -> String {
        let policy = &self.policy;
        let cancel_grace = match policy.cancel_grace {
            Some(_) => "Some(Duration::from_secs(1))",
            None => "None",
        };
        let options = [
            ("surge", policy.surge.to_string()),
            ("max_starting", policy.max_starting.to_string()),
            ("crash_loop", policy.crash_loop.to_string()),
            ("max_waiting", policy.max_waiting.to_string()),
            ("max_sessions", policy.max_sessions.to_string()),
            (
                "enable_health_monitoring",
                policy.enable_health_monitoring.to_string(),
            ),
            (
                "health_failure_threshold",
                policy.health_failure_threshold.to_string(),
            ),
            (
                "max_worker_requests",
                format!("{:?}", policy.max_worker_requests),
            ),
            ("error_threshold", format!("{:?}", policy.error_threshold)),
            ("min_worker_life", "Duration::ZERO".into()),
            ("cancel_grace", cancel_grace.into()),
        ];
        let lines = options.map(|(name, value)| format!("        {name}: {value},\n"));
        format!("{}        ..Policy::new({})\n", lines.concat(), policy.size)
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
fn wrap(text: &str) -> impl Iterator<Item = String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.len() + word.len() < 90 => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.into_iter()
}
