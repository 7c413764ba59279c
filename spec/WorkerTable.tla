------------------------------ MODULE WorkerTable ------------------------------
(*******************************************************************************)
(* The transition table of a worker.                                           *)
(*                                                                             *)
(* This module has no variables and no behaviour.  WorkerLifecycle gives it a  *)
(* behaviour.  `cargo test` compares it, cell by cell, with the table derived  *)
(* from the machine in src/worker.  A change to a worker's life changes both.  *)
(*******************************************************************************)
EXTENDS Naturals, Sequences, FiniteSets

(*******************************************************************************)
(* One row for each input, one column for each phase.  A cell is the next      *)
(* phase or one of two marks.                                                  *)
(*******************************************************************************)

Stale   == "~"    \* The input is late: accepted, changes nothing.
Refused == "-"    \* The input is illegal: its sender is wrong.

Grid == <<
<< "",              "Initializing", "Ready",     "Busy",      "Lingering", "Finishing", "Stopping",   "Terminated" >>,
<< "Started",       "Ready",        "-",         "-",         "-",         "-",         "~",          "~"          >>,
<< "StartFailed",   "Stopping",     "-",         "-",         "-",         "-",         "~",          "~"          >>,
<< "StartElapsed",  "Stopping",     "~",         "~",         "~",         "~",         "~",          "~"          >>,
<< "Checkout",      "-",            "Busy",      "-",         "Finishing", "-",         "-",          "-"          >>,
<< "Checkin",       "-",            "-",         "Ready",     "-",         "Lingering", "~",          "~"          >>,
<< "Fault",         "-",            "Stopping",  "Stopping",  "Stopping",  "Stopping",  "~",          "~"          >>,
<< "Retire",        "Stopping",     "Lingering", "Finishing", "~",         "~",         "~",          "~"          >>,
<< "SessionsEnded", "-",            "-",         "-",         "Stopping",  "~",         "~",          "~"          >>,
<< "DrainElapsed",  "-",            "-",         "-",         "Stopping",  "Stopping",  "~",          "~"          >>,
<< "RungElapsed",   "-",            "-",         "-",         "-",         "-",         "Stopping",   "~"          >>,
<< "Exited",        "Stopping",     "Stopping",  "Stopping",  "Stopping",  "Stopping",  "Stopping",   "~"          >>,
<< "Released",      "-",            "-",         "-",         "-",         "-",         "Terminated", "~"          >>,
<< "Abandoned",     "-",            "-",         "-",         "-",         "-",         "Terminated", "-"          >> >>

(*******************************************************************************)
(* A Stopping worker is on a rung of the stop ladder:                          *)
(*                                                                             *)
(*   Ask    send the shutdown frame and close the worker's stdin               *)
(*   Term   SIGTERM to the process group                                       *)
(*   Kill   SIGKILL to the process group                                       *)
(*   Reap   the leader has exited: kill the rest of its group, reap the        *)
(*          leader, close every descriptor                                     *)
(*                                                                             *)
(* A worker that is no longer needed starts at Ask.  A worker that failed to   *)
(* start or broke the protocol may not understand the frame: it starts at      *)
(* Term.  A worker whose process exited goes to Reap from any phase and rung.  *)
(*                                                                             *)
(* A process may not be killable, and a port may not be releasable.  So the    *)
(* deadline of Kill and of Reap is the last: when it passes, the supervisor    *)
(* abandons the port.  At its bound, it lets the rung be repeated instead.     *)
(* The facts about an abandoned port are late.                                 *)
(*******************************************************************************)

Rungs == << "Ask", "Term", "Kill", "Reap" >>

EntryRungs == [ Retire        |-> "Ask",
                SessionsEnded |-> "Ask",
                DrainElapsed  |-> "Ask",
                StartFailed   |-> "Term",
                StartElapsed  |-> "Term",
                Fault         |-> "Term",
                Exited        |-> "Reap" ]

\* The rung after each rung's deadline.  Kill and Reap repeat, unless the port is abandoned: there is
\* nothing stronger.
NextRungs == [ Ask |-> "Term", Term |-> "Kill", Kill |-> "Kill", Reap |-> "Reap" ]

(*******************************************************************************)
(* The deadline that runs in each phase, and the input that reports its        *)
(* expiry.  Lingering and Finishing share one deadline, so a lease granted     *)
(* during a drain does not extend the drain.  Each rung has its own deadline.  *)
(*******************************************************************************)

Deadlines == [ Initializing |-> "Start", Ready     |-> "none",  Busy     |-> "none",
               Lingering    |-> "Drain", Finishing |-> "Drain", Stopping |-> "Rung",
               Terminated   |-> "none" ]

Elapsed == [ Start |-> "StartElapsed", Drain |-> "DrainElapsed", Rung |-> "RungElapsed" ]

\* The rungs whose deadline may end in Abandoned instead. SIGKILL was sent, or nothing is left to kill.
LastRungs == {"Kill", "Reap"}

--------------------------------------------------------------------------------
(*******************************************************************************)
(* The same table as functions and sets.                                       *)
(*******************************************************************************)

PhaseOrder == SubSeq(Grid[1], 2, Len(Grid[1]))
InputOrder == [ n \in 1..(Len(Grid) - 1) |-> Grid[n + 1][1] ]

Phases  == { Grid[1][n] : n \in 2..Len(Grid[1]) }
Inputs  == { Grid[n][1] : n \in 2..Len(Grid) }
Timers  == DOMAIN Elapsed
RungSet == DOMAIN NextRungs

Column(p) == CHOOSE n \in 2..Len(Grid[1]) : Grid[1][n] = p
Row(i)    == CHOOSE n \in 2..Len(Grid) : Grid[n][1] = i
RankOf(r) == CHOOSE n \in 1..Len(Rungs) : Rungs[n] = r

Table == [ p \in Phases |-> [ i \in Inputs |-> Grid[Row(i)][Column(p)] ] ]

\* With LET, because a checker may otherwise rebuild the table for each element.
Transitions  == LET cell == Table IN { t \in Phases \X Inputs \X Phases : cell[t[1]][t[2]] = t[3] }
StaleCells   == LET cell == Table IN { c \in Phases \X Inputs : cell[c[1]][c[2]] = Stale }
RefusedCells == LET cell == Table IN { c \in Phases \X Inputs : cell[c[1]][c[2]] = Refused }

--------------------------------------------------------------------------------
(*******************************************************************************)
(* Well-formedness.  Checkers evaluate these before any state.                 *)
(*******************************************************************************)

\* Deterministic: no phase and no input is listed twice, so each pair has one cell.
ASSUME Deterministic ==
    /\ Cardinality(Phases) = Len(PhaseOrder)
    /\ Cardinality(Inputs) = Len(InputOrder)

\* Total: every pair has a cell, and each cell holds exactly one phase or one mark.
ASSUME WellTyped ==
    /\ \A n \in 1..Len(Grid) : Len(Grid[n]) = Len(PhaseOrder) + 1
    /\ LET cell == Table
       IN  \A p \in Phases, i \in Inputs : cell[p][i] \in Phases \cup {Stale, Refused}
    /\ Cardinality(Transitions) + Cardinality(StaleCells) + Cardinality(RefusedCells)
         = Cardinality(Phases) * Cardinality(Inputs)

\* The ladder has a rung for every input that leads to Stopping, and a next rung for every rung.
ASSUME LadderWellTyped ==
    /\ RungSet = { Rungs[n] : n \in 1..Len(Rungs) }
    /\ \A r \in RungSet : NextRungs[r] \in RungSet
    /\ \A i \in DOMAIN EntryRungs : EntryRungs[i] \in RungSet
    /\ DOMAIN EntryRungs = { t[2] : t \in { u \in Transitions : u[1] # "Stopping" /\ u[3] = "Stopping" } }

\* The expiry of a phase's deadline leads out of that phase, or to the next rung.
ASSUME DeadlinesWellTyped ==
    /\ DOMAIN Deadlines = Phases
    /\ \A t \in Timers : Elapsed[t] \in Inputs
    /\ \A p \in Phases : \/ Deadlines[p] = "none"
                         \/ /\ Deadlines[p] \in Timers
                            /\ Table[p][Elapsed[Deadlines[p]]] \in Phases

\* Terminated is final, and is entered only when the port is released or abandoned.
ASSUME EndsOnce ==
    { t \in Transitions : "Terminated" \in {t[1], t[3]} } =
        { << "Stopping", i, "Terminated" >> : i \in {"Released", "Abandoned"} }
================================================================================
