//! Counts what a run of random actions covered, and finds what it missed.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};

use ostler::supervisor::{Effect, Event, Input, Order, SessionEnd};
use ostler::worker::Phase;

use crate::model::Model;
use crate::model_actions::Action;

/// What a run must cover. A run of a thousand pools sees the rarest of these some forty times.
const EVERYTHING: &str = "
    action: Come ComeFor ComeForEnded GiveUp GiveUpLate Return ReturnAgain Break
    action: Abandon CancelCleanly CancelBadly CancelLate MissCancel
    action: OpenSession OpenSessionAgain EndSession EndSessionAgain SweepSessions ElapseGrace
    action: Start FailToStart Crash BreakByItself Exit Release Hang ElapseBackoff ReachMilestone ReportNonsense ElapseLate
    action: AnswerHealthy AnswerUnhealthy AnswerBadly AnswerLate MissProbe Weigh
    action: Recycle RecycleAll Drain Resume Resize Shutdown ShutdownNow
    refusal: Closed CrashLoop Draining QueueFull SessionEnded SessionLost
    session: Closed Ended Expired Lost Refused(Closed) Refused(Draining) Refused(TooManySessions)
    replacing: Limit(Age) Limit(Errors) Limit(Memory) Limit(Requests) Recycled Surplus
    end: Exited Fault(Abandoned) Fault(ProtocolBroken) Fault(TimedOut) Recycled Shutdown StartFailed StartTimedOut Surplus
    end: Unhealthy Limit(Age) Limit(Errors) Limit(Memory) Limit(Requests)
    event: Opened Kept
    order: Abandon Cancel Measure Open Probe StopAsk StopTerm StopKill StopReap
    pool: Grant ShutdownDrained Closed DrainEnded(Drained) DrainEnded(Resumed)
    pool: RollingEnded(Completed) RollingEnded(StartFailed) RollingEnded(Closed)
    timer: Backoff Cancel IdleSweep Milestone Probe SessionGrace Worker
    cancelled: Backoff Cancel IdleSweep Probe SessionGrace Worker
    late: Elapsed(Backoff) Elapsed(Cancel) Elapsed(Milestone) Elapsed(Probe) Elapsed(Worker)
    late: CancelEnded EndSession GaveUp LeaseEnded Measured OpenSession Port Probed Recycle RecycleAll Shutdown ShutdownNow
    illegal: Port
";

#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// For each kind of action, how often it happened and how often it did not apply.
    actions: BTreeMap<String, [usize; 2]>,
    /// Everything else, by group and name.
    seen: BTreeMap<(&'static str, String), usize>,
}

impl Tally {
    pub(crate) fn action(&mut self, action: Action, model: &Model, stale: bool) {
        let counts = self.actions.entry(name(&action)).or_default();
        counts[usize::from(model.input.is_none())] += 1;
        let Some(input) = model.input else { return };
        if stale {
            self.see("late", name_of_input(&input));
        }
        if model.illegal.is_some() {
            self.see("illegal", name_of_input(&input));
        }
        for effect in &model.effects {
            self.effect(effect);
        }
    }

    fn effect(&mut self, effect: &Effect) {
        match effect {
            Effect::Worker { order, .. } => match order {
                Order::Stop { rung, .. } => self.see("order", format!("Stop{rung}")),
                order => self.see("order", name(order)),
            },
            Effect::StartTimer { timer, .. } => self.see("timer", name(timer)),
            Effect::CancelTimer { timer } => self.see("cancelled", name(timer)),
            Effect::Refuse { refusal, .. } => self.see("refusal", name(refusal)),
            Effect::SessionEnded { end, .. } => self.see("session", whole_name(end)),
            Effect::Event(Event::Moved(moved)) => {
                if moved.to == Phase::Terminated {
                    self.see("end", format!("{:?}", moved.reason.expect("it has one")));
                }
            }
            Effect::Event(Event::Replacing { reason, .. }) => {
                self.see("replacing", format!("{reason:?}"))
            }
            Effect::Event(event) => self.see("event", name(event)),
            Effect::RollingEnded(end) => self.see("pool", format!("RollingEnded({})", name(end))),
            Effect::DrainEnded(end) => self.see("pool", format!("DrainEnded({end:?})")),
            effect => self.see("pool", name(effect)),
        }
    }

    fn see(&mut self, group: &'static str, name: String) {
        *self.seen.entry((group, name)).or_default() += 1;
    }

    /// What of `EVERYTHING` was not seen, by group and name.
    pub(crate) fn missing(&self) -> Vec<String> {
        let all = EVERYTHING.lines().filter_map(|line| line.split_once(':'));
        let named = all.flat_map(|(group, names)| {
            let group = group.trim();
            names.split_whitespace().map(move |name| (group, name))
        });
        let is_missing = |(group, name): &(&str, &str)| match *group {
            "action" => self.actions.get(*name).is_none_or(|counts| counts[0] == 0),
            _ => !(self.seen.keys()).any(|(of, seen)| (of, seen.as_str()) == (group, *name)),
        };
        named
            .filter(is_missing)
            .map(|(group, name)| format!("{group} {name}"))
            .collect()
    }
}

/// The first word of what is printed for debugging: the name of a variant.
fn name(value: &impl Debug) -> String {
    let text = format!("{value:?}");
    let end = text.find(|c: char| !c.is_alphanumeric());
    text[..end.unwrap_or(text.len())].to_owned()
}

fn whole_name(end: &SessionEnd) -> String {
    match end {
        SessionEnd::Refused(refusal) => format!("Refused({refusal:?})"),
        other => name(other),
    }
}

fn name_of_input(input: &Input) -> String {
    match input {
        Input::Elapsed { timer } => format!("Elapsed({})", name(timer)),
        other => name(other),
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:28} {:>8} {:>14}",
            "action", "happened", "did not apply"
        )?;
        for (action, [happened, not]) in &self.actions {
            writeln!(f, "{action:28} {happened:8} {not:14}")?;
        }
        for ((group, name), count) in &self.seen {
            writeln!(f, "{:28} {count:8}", format!("{group} {name}"))?;
        }
        Ok(())
    }
}
