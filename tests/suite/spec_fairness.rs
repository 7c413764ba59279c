//! What does liveness assume?
//!
//! No checker notices that an assumption was strengthened: every property still holds, of fewer
//! behaviours. So the assumptions are pinned as text, each with the reason why a real pool meets
//! it. A change of one of them needs a new reason here.

use std::fs;

use crate::spec_support::spec_dir;

/// The definitions that the assumptions consist of, and why each holds of a real worker.
const OF_A_WORKER: [(&str, &str); 4] = [
    (
        "Delivers       == pending # << >> /\\ Deliver(Head(pending))",
        "the task that owns the port reports every fact, in order",
    ),
    (
        r#"DeadlinePasses == Deadline[phase] # "none" /\ Elapse(Deadline[phase])"#,
        "the driver's clock reports every deadline that is not cancelled",
    ),
    (
        "Fairness == WF_vars(Delivers) /\\ WF_vars(DeadlinePasses) /\\ WF_vars(Abandon)",
        "of the supervisor, only that it does not let the last rungs be repeated for ever",
    ),
    (
        "Spec == Init /\\ [][Next]_vars /\\ Fairness",
        "every behaviour, with no other assumption",
    ),
];

/// The same of a pool.
const OF_A_POOL: [(&str, &str); 10] = [
    (
        "StartEnds(w) == Started(w) \\/ StartFailed(w) \\/ StartFailedForGood(w) \\/ StartElapsed(w) \\/ ExitedAtStart(w)",
        "a start has a deadline, so it ends in one of five ways; no single one is assumed",
    ),
    (
        r#"KillEnds(w)  == (rung[w] = "Kill" \/ w \in Abandoned) /\ ExitedAtStop(w)"#,
        "SIGKILL ends a process, sooner or later; no other rung is assumed to",
    ),
    (
        r#"NextRungIsTaken(w) == rung[w] \in {"Ask", "Term"} /\ RungElapsed(w)"#,
        "each rung has a deadline; the last rungs are not assumed to be repeated",
    ),
    (
        r#"Stuck == IF "Stuck" \in Happens THEN { w \in Workers : w <= Size } ELSE {}"#,
        "as many ports as the pool may abandon may never be released",
    ),
    (
        r#"TimePasses == \/ BackoffElapsed \/ GraceElapsed
              \/ \E w \in Workers : \/ StartEnds(w) \/ DrainElapsed(w) \/ NextRungIsTaken(w) \/ Abandon(w)
                                    \/ w \notin Stuck /\ (KillEnds(w) \/ Released(w))"#,
        "the driver's clock reports deadlines and backoffs; the driver releases a port whose process has exited",
    ),
    (
        "CallEnds(c)     == \\E w \\in Workers : Checkin(c, w) \\/ Fault(c, w) \\/ CancelBegins(c, w)",
        "calls have a timeout, so each lease ends in one of three ways",
    ),
    (
        "ProbeIsOver(w)  == ProbeEnds(w) \\/ ProbeMissed(w) \\/ ProbeUnhealthy(w)",
        "a health check has a timeout",
    ),
    (
        "CancelIsOver(w) == CancelEnds(w) \\/ CancelFails(w)",
        "a cancellation has a grace",
    ),
    (
        r"Fairness == /\ WF_vars(Settle)
            /\ WF_vars(TimePasses)
            /\ \A c \in Clients : WF_vars(CallEnds(c))
            /\ \A w \in Workers : WF_vars(ProbeIsOver(w))
            /\ \A w \in Workers : WF_vars(CancelIsOver(w))",
        "the supervisor settles within each input; calls, health checks and cancellations end one by one, \
         because another client's call may go on",
    ),
    (
        "Spec == Init /\\ [][Next]_vars /\\ Fairness",
        "every behaviour, with no other assumption",
    ),
];

/// The assumptions of liveness are those that have a reason.
#[test]
fn each_assumption_of_liveness_has_a_reason() {
    for (module, assumptions) in [
        ("WorkerLifecycle", &OF_A_WORKER[..]),
        ("WorkerPool", &OF_A_POOL),
    ] {
        let path = spec_dir().join(module).with_extension("tla");
        let text = fs::read_to_string(path).expect("the module can be read");
        for (definition, reason) in assumptions {
            let defined = text.contains(&format!("\n{definition}\n"));
            assert!(
                defined,
                "{module} has changed an assumption: {reason}\n{definition}"
            );
        }
        // No other definition assumes anything, and no operator is fair in a stronger sense.
        let fair = |text: &str| text.matches("WF_").count() + text.matches("SF_").count();
        let pinned: usize = assumptions.iter().map(|(text, _)| fair(text)).sum();
        assert_eq!(fair(&text), pinned, "{module}: fairness without a reason");
    }
}
