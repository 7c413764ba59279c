//! Writes a Rust test from a counterexample that the checker has printed.
//!
//! The inputs of the counterexample are fed to the real supervisor. Its decisions are compared with
//! those of the counterexample, and so is its state whenever it has settled.

use std::collections::BTreeMap;
use std::time::Duration;

use ostler::policy::Policy;
use ostler::supervisor::Supervisor;
use ostler::trace::Step;

use crate::regression::{Test, feed, supervisor, take};
use crate::trace_inputs::CALL_LIMIT;
use crate::trace_mirror::{Client, Mirror};
use crate::trace_names::client_name;

/// A step of a counterexample.
struct Line<'a> {
    /// The actions that could have taken it.
    actions: Vec<&'a str>,
    /// The variables that it changed.
    changes: Vec<(&'a str, &'a str)>,
}

/// A test from a counterexample, in a pool with the constants of this configuration. It ends where
/// the code does something else than the counterexample.
///
/// # Errors
///
/// The text contains no counterexample of `WorkerPool`, the configuration lacks a constant, or no
/// real pool has such constants.
pub(crate) fn of_counterexample(text: &str, cfg: &str) -> Result<String, String> {
    let (policy, lines) = (policy(cfg)?, lines(text)?);
    // Several actions may have taken a step, and the property may be about any of them.
    let choices = lines.iter().map(|line| line.actions.len()).max();
    let mut test = follow(&lines, &policy, 0)?;
    for choice in 1..choices.unwrap_or_default() {
        if !test.never {
            break;
        }
        test = follow(&lines, &policy, choice)?;
    }
    if test.never && text.contains(", for ever") {
        test.never = false;
        test.about = "This pool takes every step of the counterexample. The test does not say \
                      what comes after them."
            .into();
    }
    let violated = text
        .lines()
        .find_map(|line| line.split_once(" is violated:"));
    if let Some((property, _)) = violated {
        let property = property.rsplit(' ').next().unwrap_or(property);
        test.about = format!("The specification violated {property}. {}", test.about);
    }
    Ok(test.render())
}

/// Follows a counterexample as far as the code does the same. `choice` says which of several
/// actions is taken.
fn follow(lines: &[Line<'_>], policy: &Policy, choice: usize) -> Result<Test, String> {
    let mut pool = supervisor(policy)?;
    let (opened, effects) = take(&mut pool);
    let mut mirror = Mirror::new(policy);
    // The names that a counterexample may use.
    mirror.clients = vec![Client::Free; 9];
    mirror.sessions = vec![None; 9];
    let input = None;
    let mut decided = mirror.step(&Step { input, effects })?.actions;
    let mut test = Test {
        about: String::new(),
        policy: policy.clone(),
        opened,
        steps: Vec::new(),
        never: false,
    };
    let mut variables = BTreeMap::new();
    for (number, line) in lines.iter().enumerate() {
        variables.extend(line.changes.iter().copied());
        if number == 0 {
            continue;
        }
        let action = line.actions[choice % line.actions.len()];
        if decided.is_empty() {
            let ways = mirror.ways(action, number as u64).unwrap_or_default();
            mirror.expect(action);
            for input in ways.into_iter().next().unwrap_or_default() {
                let (does, effects) = feed(&mut pool, input)?;
                test.steps.push((input, does));
                let input = Some(input);
                decided.extend(mirror.step(&Step { input, effects })?.actions);
            }
        }
        let does = match decided.is_empty() {
            true => "nothing".to_owned(),
            false => decided.remove(0),
        };
        let wrong = match line.actions.contains(&&*does) {
            false => Some(format!(
                "is {}; this pool does {does}",
                line.actions.join(" or ")
            )),
            true if decided.is_empty() => difference(&variables, &mirror, &pool),
            true => None,
        };
        if let Some(wrong) = wrong {
            test.about = format!("Step {number} of the counterexample {wrong}.");
            return Ok(test);
        }
    }
    test.never = decided.is_empty();
    test.about = match decided.first() {
        Some(next) => {
            format!("This pool takes every step of the counterexample, and then does {next}.")
        }
        None => "This pool takes every step of the counterexample, which it must not.".into(),
    };
    Ok(test)
}

/// The first variable in which a pool that has settled differs from the counterexample.
fn difference(
    expected: &BTreeMap<&str, &str>,
    mirror: &Mirror,
    pool: &Supervisor,
) -> Option<String> {
    let quoted = |text: &str| format!("\"{text}\"");
    let workers = mirror.workers.iter().flatten();
    let phases = workers.clone().map(|worker| quoted(worker.phase.name()));
    let rung = |id| pool.worker(id).and_then(|view| view.rung);
    let rungs = workers.map(|worker| quoted(rung(worker.id).map_or("none", |rung| rung.name())));
    let waiting = mirror.queue.iter().map(|client| client_name(*client));
    let leases = mirror.leases().into_iter().map(|lease| {
        lease
            .replace("Monitor", "\"monitor\"")
            .replace("Canceller", "\"canceller\"")
    });
    let tuple = |items: &mut dyn Iterator<Item = String>| {
        format!("<<{}>>", items.collect::<Vec<_>>().join(", "))
    };
    let named = |s: &usize| {
        let named = expected.get("session");
        named.is_some_and(|sessions| sessions.contains(&format!("s{} ", s + 1)))
    };
    let sessions = (0..mirror.sessions.len()).filter(named);
    let sessions = sessions.map(|s| format!("s{} {}", s + 1, session(s, mirror, pool)));
    let found = [
        ("phase", tuple(&mut phases.into_iter())),
        ("rung", tuple(&mut rungs.into_iter())),
        ("queue", tuple(&mut waiting.into_iter())),
        (
            "leases",
            format!("{{{}}}", leases.collect::<Vec<_>>().join(", ")),
        ),
        ("session", sessions.collect::<Vec<_>>().join(", ")),
        ("backoff", mirror.backoffs.len().to_string()),
        ("failed", mirror.failed().to_string()),
        ("intake", quoted(mirror.intake)),
        ("stage", quoted(mirror.stage)),
    ];
    let differs = found.into_iter().find_map(|(name, found)| {
        let expected = expected.get(name)?;
        (words(&found) != words(expected)).then(|| (name, found, expected.to_string()))
    });
    let (name, found, expected) = differs?;
    Some(format!(
        "leads to {name} = {expected}; in this pool it is {found}"
    ))
}

fn session(number: usize, mirror: &Mirror, pool: &Supervisor) -> &'static str {
    match mirror.sessions[number] {
        None => "closed",
        Some(known) if pool.session_worker(known.id).is_some() => "bound",
        Some(known) if known.lost => "lost",
        Some(_) => "unbound",
    }
}

/// The words of a value, without punctuation and without what is said of workers that were never
/// opened. The elements of a set are sorted.
fn words(value: &str) -> Vec<Vec<&str>> {
    let mut parts: Vec<Vec<&str>> = value.split(">>").map(words_of).collect();
    parts.retain(|part| !part.is_empty());
    parts.sort();
    parts
}

fn words_of(part: &str) -> Vec<&str> {
    let words = part.split(|c: char| !c.is_alphanumeric());
    let is_word = |word: &&str| !["", "absent", "none"].contains(word);
    words.filter(is_word).collect()
}

/// The lines of a counterexample, the initial state first.
fn lines(text: &str) -> Result<Vec<Line<'_>>, String> {
    let mut lines = Vec::new();
    for line in text.lines() {
        let numbered = line.trim_start().split_once("  ");
        let Some((_, rest)) = numbered.filter(|(number, _)| number.parse() == Ok(lines.len()))
        else {
            match lines.is_empty() {
                true => continue,
                false => break,
            }
        };
        // The variables follow the action, each with its value.
        let mut parts = rest.split(" = ");
        let first = parts.next().unwrap_or_default();
        let (actions, mut name) = match rest.contains(" = ") {
            true => first.rsplit_once(' ').unwrap_or(("", first)),
            false => (first, ""),
        };
        let mut changes = Vec::new();
        for part in parts {
            let (value, next) = part
                .rsplit_once(", ")
                .filter(|(_, next)| is_name(next))
                .unwrap_or((part, ""));
            changes.push((name, value));
            name = next;
        }
        let actions = actions.trim().split(" or ").collect();
        lines.push(Line { actions, changes });
    }
    match lines.is_empty() {
        true => Err("there is no counterexample in the text".into()),
        false => Ok(lines),
    }
}

fn is_name(text: &str) -> bool {
    text.chars().all(char::is_alphabetic)
}

/// The policy of a slice. What a slice leaves open is such that the code can do what the slice
/// allows: each missed health check counts, and a worker that has served may reach a limit.
///
/// # Errors
///
/// The configuration lacks a constant.
pub(crate) fn policy(cfg: &str) -> Result<Policy, String> {
    let constant = |name: &str| {
        let line = cfg
            .lines()
            .map(str::trim)
            .find_map(|line| line.strip_prefix(name));
        let value = line.map(|line| line.trim_start().trim_start_matches(['=', ' ']));
        value.ok_or_else(|| format!("the configuration has no {name}"))
    };
    let number = |name: &str| -> Result<usize, String> {
        let value = constant(name)?;
        value
            .parse()
            .map_err(|_| format!("{name} is not a number: {value}"))
    };
    let happens = constant("Happens")?;
    let may = |kind: &str| happens == "<- Kinds" || happens.contains(kind);
    Ok(Policy {
        surge: number("Surge ")?,
        max_starting: number("MaxStarting")?,
        max_waiting: number("MaxWaiting")?,
        max_sessions: number("MaxSessions")?,
        crash_loop: u32::try_from(number("CrashLoop")?).unwrap_or(u32::MAX),
        health_failure_threshold: 1,
        cancel_grace: may("Cancels").then_some(Duration::from_secs(1)),
        max_worker_requests: may("Limits").then_some(CALL_LIMIT),
        min_worker_life: Duration::ZERO,
        ..Policy::new(number("Size ")?)
    })
}
