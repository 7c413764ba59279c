//! Does the proof fail when the specification is wrong?

use crate::induct::{everything, texts};
use crate::induct_prove::prove;
use crate::induct_source::Source;

/// A text of `WorkerTable` or `WorkerPool`, what takes its place, and the goal that must fail.
struct Edit(&'static str, &'static str, &'static str);

const TABLE: [Edit; 11] = [
    Edit(
        r#""Checkin",       "-",            "-",         "Ready","#,
        r#""Checkin",       "-",            "-",         "Busy","#,
        "LeaseMatchesPhase",
    ),
    Edit(
        r#""Checkout",      "-",            "Busy","#,
        r#""Checkout",      "-",            "Ready","#,
        "LeaseMatchesPhase",
    ),
    Edit(
        r#""Lingering", "Finishing", "~", "#,
        r#""Lingering", "~",         "~", "#,
        "ShutdownRetiresAll",
    ),
    Edit(
        r#""Retire",        "Stopping","#,
        r#""Retire",        "~","#,
        "ShutdownRetiresAll",
    ),
    Edit(
        r#""Released",      "-",            "-",         "-",         "-",         "-",         "Terminated","#,
        r#""Released",      "-",            "-",         "-",         "-",         "-",         "Stopping","#,
        "ReleasedIsTerminated",
    ),
    Edit(
        r#""Fault",         "-",            "Stopping",  "Stopping",  "Stopping",  "Stopping","#,
        r#""Fault",         "-",            "Stopping",  "Stopping",  "Stopping",  "Lingering","#,
        "FaultedNeverServes",
    ),
    Edit(
        r#""Ready",     "-",         "Lingering", "~","#,
        r#""Ready",     "-",         "Lingering", "-","#,
        "NeverRefused",
    ),
    Edit(
        r#""Ready",     "-",         "Lingering", "~","#,
        r#""Ready",     "-",         "Ready",     "~","#,
        "DrainingNeverServesAgain",
    ),
    Edit(
        r#""Exited",        "Stopping",     "Stopping","#,
        r#""Exited",        "Stopping",     "~","#,
        "ExitedAreReaped",
    ),
    Edit(
        r#"[ Retire        |-> "Ask""#,
        r#"[ Retire        |-> "Reap""#,
        "ReapedHaveExited",
    ),
    Edit(
        r#"Term |-> "Kill""#,
        r#"Term |-> "Reap""#,
        "ReapedHaveExited",
    ),
];

const POOL: [Edit; 42] = [
    Edit(
        r#"phase[w] = "Ready"     /\ HomeOf(c) \in {0, w}"#,
        r#"phase[w] = "Ready""#,
        "SessionsNeverMove",
    ),
    Edit(
        r#"\/ phase[w] = "Lingering" /\ HomeOf(c) = w

\* Of"#,
        r#"\/ phase[w] = "Lingering"

\* Of"#,
        "GrantsAreEarned",
    ),
    Edit(
        r#"            /\ Count(Occupied) < size + Surge
"#,
        "",
        "NeverTooManyPorts",
    ),
    Edit(
        r#"Count(Occupied) < size + Surge"#,
        "Count(Occupied) <= size + Surge",
        "PortsHaveSlots",
    ),
    Edit(
        r#"Count(In({"Initializing"})) < MaxStarting"#,
        r#"Count(In({"Initializing"})) <= MaxStarting"#,
        "StartsAreBounded",
    ),
    Edit(
        "ToSpare == Count(In(Serving)) > size",
        "ToSpare == Count(In(Serving)) >= size",
        "ReplacingKeepsTheSize",
    ),
    Edit(
        r#"MayAbandon(w) == "Stuck" \in Happens /\ rung[w] \in LastRungs /\ Count(Abandoned) < size"#,
        r#"MayAbandon(w) == "Stuck" \in Happens /\ rung[w] \in LastRungs"#,
        "AbandonedAreBounded",
    ),
    Edit(
        r#"MayAbandon(w) == "Stuck" \in Happens /\ rung[w] \in LastRungs"#,
        r#"MayAbandon(w) == "Stuck" \in Happens"#,
        "TerminatedIsReleased",
    ),
    Edit(
        r#"session[t] # "closed" }) < MaxSessions"#,
        r#"session[t] # "closed" }) <= MaxSessions"#,
        "SessionsAreBounded",
    ),
    Edit(
        r#"/\ stage = "Stopping" /\ Occupied = {} "#,
        r#"/\ stage = "Stopping" "#,
        "ClosedIsEmpty",
    ),
    Edit(
        r#"stage \in {"Draining", "Hurrying"} /\ In(Draining) = {}"#,
        r#"stage \in {"Draining", "Hurrying"}"#,
        "ShutdownDrainsBeforeStopping",
    ),
    Edit(
        "ToRetire == Occupied",
        "ToRetire == In(Serving)",
        "ShutdownRetiresAll",
    ),
    Edit(
        "CheckoutFor(c, s) == /\\ IsFree(c)\n",
        "CheckoutFor(c, s) == /\\ TRUE\n",
        "WaitsOnce",
    ),
    Edit(
        r#"/\ session[s] = "bound" \/ (session[s] = "unbound" /\ AcceptsNew)"#,
        r#"/\ session[s] # "closed""#,
        "WaitersHaveOpenSessions",
    ),
    Edit(
        r#"(session[s] = "unbound" /\ AcceptsNew)"#,
        r#"session[s] = "unbound""#,
        "DrainAcceptsNoNewClient",
    ),
    Edit(
        r#"leases' = leases \ {<< h, w >>}"#,
        "leases' = leases",
        "LeaseMatchesPhase",
    ),
    Edit(
        r#"(leases \ {<< c, w >>}) \cup"#,
        r#"leases \cup"#,
        "AtMostOneLease",
    ),
    Edit(
        r#"h \in Clients \cup {Canceller} :"#,
        r#"h \in Clients :"#,
        "DrainedIsQuiet",
    ),
    Edit(
        r#"IF intake = "Draining" THEN "Resumed" ELSE "Open""#,
        r#""Open""#,
        "EveryDrainIsReported",
    ),
    Edit(
        r#"restart = "rolling" /\ rolling = {}"#,
        r#"restart = "rolling""#,
        "CompletedKeepsNone",
    ),
    Edit(
        r#"IF restart = "rolling" THEN "failed" ELSE restart"#,
        "restart",
        "FailedStartStopsRolling",
    ),
    Edit(
        r#"GraceElapsed == stage = "Draining""#,
        r#"GraceElapsed == stage = "Open""#,
        "StagesFollow",
    ),
    Edit(
        r#"replacing' = replacing \cup Chosen"#,
        "replacing' = replacing",
        "RollingChoosesAll",
    ),
    Edit(
        "/\\ home' = [home EXCEPT ![s] = 0]",
        "/\\ home' = home",
        "TypeOK",
    ),
    Edit(r#"v # w \/ Target(w, i) \in Serving }"#, "TRUE }", "TypeOK"),
    Edit(
        r#"            /\ PortBecomes(w, "opening")
"#,
        "            /\\ PortsStay\n",
        "PortsComeWithWorkers",
    ),
    Edit(
        r#"           /\ ~\E c \in Waiting : IsTooMany(c)
"#,
        "",
        "QueueIsBounded",
    ),
    Edit(
        "           /\\ ~BackoffIsIdle\n",
        "",
        "BackoffsHaveVacancies",
    ),
    Edit(
        "IF failed < CrashLoop THEN failed + 1 ELSE failed",
        "failed + 1",
        "TypeOK",
    ),
    Edit(
        "FailsAs(CrashLoop)",
        "FailsAs(failed)",
        "FinalFailureIsACrashLoop",
    ),
    Edit(
        r#"session' = [s \in Sessions |-> "closed"]"#,
        "session' = session",
        "ClosedIsEmpty",
    ),
    Edit(
        r#"Refuses(c) == Leave(c) /\ asked' = [asked EXCEPT ![c] = "nothing"]"#,
        r#"Refuses(c) == Leave(c) /\ asked' = asked"#,
        "AskedIsPending",
    ),
    Edit(
        "Leave(c) == queue' = SelectSeq(queue, LAMBDA d : d # c)",
        "Leave(c) == queue' = queue",
        "WaitsOnce",
    ),
    Edit(
        r#"(stage = "Hurrying" /\ IsUnused(s))"#,
        r#"stage = "Hurrying""#,
        "UsedSessionsAreServed",
    ),
    Edit(
        r#"IF WaitedFor(s) THEN "closed" ELSE "lost""#,
        r#""closed""#,
        "LostSessionsAreReported",
    ),
    Edit(
        "BackoffElapsed == /\\ backoff > 0\n",
        "BackoffElapsed == /\\ backoff >= 0\n",
        "TypeOK",
    ),
    Edit(
        r#"phase[w] = "Ready" /\ In({"Initializing"}) = {}"#,
        r#"phase[w] = "Ready" /\ In({"Busy"}) = {}"#,
        "NoSurplus",
    ),
    Edit(
        r#"\/ (stage = "Hurrying" /\ IsUnused(s))"#,
        "",
        "IdleSessionsHoldNoShutdown",
    ),
    Edit(
        r#"/\ asked[c] # "nothing" => c \in Waiting \/ Holds(c)"#,
        "/\\ TRUE",
        "IdleSessionsHoldNoShutdown",
    ),
    Edit(
        "=> home[asked[l[1]]] = l[2]",
        "=> home[asked[l[1]]] \\in Workers",
        "IdleSessionsHoldNoShutdown",
    ),
    Edit(
        r#"MayAbandon(w) == "Stuck" \in Happens /\ rung[w] \in LastRungs /\ Count(Abandoned) <"#,
        r#"MayAbandon(w) == "Stuck" \in Happens /\ rung[w] \in LastRungs /\ Count(Abandoned) + 1 <"#,
        "LastRungsAreRepeatedAtTheBound",
    ),
    Edit(
        r#"phase[w] = "Stopping" /\ ~MayAbandon(w)"#,
        r#"phase[w] = "Stopping""#,
        "LastRungsAreRepeatedAtTheBound",
    ),
];

/// Each edit makes its goal fail, with a counterexample to induction.
#[test]
fn induct_each_edit_breaks_its_goal() {
    let [table, pool, proof] = texts();
    let mut proved = Vec::new();
    let mut shown = 0;
    let edits = TABLE
        .iter()
        .map(|edit| (true, edit))
        .chain(POOL.iter().map(|edit| (false, edit)));
    for (is_table, Edit(from, to, goal)) in edits {
        let text = if is_table { &table } else { &pool };
        assert_eq!(text.matches(from).count(), 1, "`{from}` occurs once");
        let edited = text.replace(from, to);
        let (table, pool) = if is_table {
            (&edited, &pool)
        } else {
            (&table, &edited)
        };
        let source =
            Source::of(table, pool, &proof).unwrap_or_else(|problem| panic!("{to}: {problem}"));
        let outcome = prove(&source, &everything(&source).only(goal));
        match outcome.failures.first() {
            Some(failure) if shown < 3 => {
                shown += 1;
                println!("induction: with `{to}` for `{from}`, {failure}");
            }
            Some(_) => {}
            None => proved.push(format!("{goal} holds with `{to}` for `{from}`")),
        }
    }
    assert!(proved.is_empty(), "\n{}", proved.join("\n"));
}
