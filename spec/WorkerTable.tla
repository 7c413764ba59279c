------------------------------ MODULE WorkerTable ------------------------------
(*******************************************************************************)
(* What a worker makes of everything that can happen to it.                    *)
(*                                                                             *)
(* This module has no variables and no behaviour: it is the table, and nothing *)
(* else.  WorkerLifecycle sets it in motion, `cargo test` compares it cell by  *)
(* cell with the one that is derived from the machine in src/worker, and       *)
(* whoever wants to change a worker's life changes it here and there.          *)
(*******************************************************************************)
EXTENDS Naturals, Sequences, FiniteSets

(*******************************************************************************)
(* A row for each input, a column for each phase.  A cell names the phase that *)
(* the worker is in afterwards, or holds one of two marks.                     *)
(*******************************************************************************)

Stale   == "~"    \* The input comes late: it is accepted and changes nothing.
Refused == "-"    \* The input cannot come here: if it does, its sender is wrong.

Grid == <<
<< "",              "Initializing", "Ready",     "Busy",      "Lingering", "Finishing", "Stopping",   "Terminated" >>,
<< "Started",       "Ready",        "-",         "-",         "-",         "-",         "~",          "-"          >>,
<< "StartFailed",   "Stopping",     "-",         "-",         "-",         "-",         "~",          "-"          >>,
<< "StartElapsed",  "Stopping",     "~",         "~",         "~",         "~",         "~",          "~"          >>,
<< "Checkout",      "-",            "Busy",      "-",         "Finishing", "-",         "-",          "-"          >>,
<< "Checkin",       "-",            "-",         "Ready",     "-",         "Lingering", "~",          "~"          >>,
<< "Fault",         "-",            "Stopping",  "Stopping",  "Stopping",  "Stopping",  "~",          "~"          >>,
<< "Retire",        "Stopping",     "Lingering", "Finishing", "~",         "~",         "~",          "~"          >>,
<< "SessionsEnded", "-",            "-",         "-",         "Stopping",  "~",         "~",          "~"          >>,
<< "DrainElapsed",  "-",            "-",         "-",         "Stopping",  "Stopping",  "~",          "~"          >>,
<< "RungElapsed",   "-",            "-",         "-",         "-",         "-",         "Stopping",   "~"          >>,
<< "Exited",    "Stopping",     "Stopping",  "Stopping",  "Stopping",  "Stopping",  "Stopping",   "-"          >>,
<< "Released",  "-",            "-",         "-",         "-",         "-",         "Terminated", "-"          >> >>

(*******************************************************************************)
(* A worker that is Stopping stands on a rung of the stop ladder:              *)
(*                                                                             *)
(*   Ask    the shutdown frame is sent and the worker's stdin closed           *)
(*   Term   SIGTERM to the process group                                       *)
(*   Kill   SIGKILL to the process group                                       *)
(*   Reap   the leader has exited: what is left of its group is killed, the    *)
(*          leader reaped, every descriptor closed                             *)
(*                                                                             *)
(* A worker that is only no longer wanted is asked.  One that does not answer  *)
(* or breaks the protocol would not understand: it starts at SIGTERM.  One     *)
(* whose process has exited, on whatever rung it stood, is reaped.             *)
(*******************************************************************************)

Rungs == << "Ask", "Term", "Kill", "Reap" >>

EntryRungs == [ Retire        |-> "Ask",
                SessionsEnded |-> "Ask",
                DrainElapsed  |-> "Ask",
                StartFailed   |-> "Term",
                StartElapsed  |-> "Term",
                Fault         |-> "Term",
                Exited    |-> "Reap" ]

\* When the deadline of a rung passes.  The last two repeat: there is nothing above them.
NextRungs == [ Ask |-> "Term", Term |-> "Kill", Kill |-> "Kill", Reap |-> "Reap" ]

(*******************************************************************************)
(* The deadline that runs in each phase, and the input that says it has passed.*)
(* Lingering and Finishing share one: a worker that is leased again while it   *)
(* drains wins no time by that.  Each rung of the ladder has its own.          *)
(*******************************************************************************)

Deadlines == [ Initializing |-> "Start", Ready     |-> "none",  Busy     |-> "none",
               Lingering    |-> "Drain", Finishing |-> "Drain", Stopping |-> "Rung",
               Terminated   |-> "none" ]

Elapsed == [ Start |-> "StartElapsed", Drain |-> "DrainElapsed", Rung |-> "RungElapsed" ]

--------------------------------------------------------------------------------
(*******************************************************************************)
(* The same as functions and sets, for those who compute with it.              *)
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

\* LET, because a checker may otherwise build the table anew for each element.
Transitions  == LET cell == Table IN { t \in Phases \X Inputs \X Phases : cell[t[1]][t[2]] = t[3] }
StaleCells   == LET cell == Table IN { c \in Phases \X Inputs : cell[c[1]][c[2]] = Stale }
RefusedCells == LET cell == Table IN { c \in Phases \X Inputs : cell[c[1]][c[2]] = Refused }

--------------------------------------------------------------------------------
(*******************************************************************************)
(* What makes the above a table: these are evaluated before any state is.      *)
(*******************************************************************************)

\* Deterministic: no phase and no input is listed twice, so no two cells answer the same question.
ASSUME Deterministic ==
    /\ Cardinality(Phases) = Len(PhaseOrder)
    /\ Cardinality(Inputs) = Len(InputOrder)

\* Total, and disjoint: every cell is there, and holds one phase or one mark.
ASSUME WellTyped ==
    /\ \A n \in 1..Len(Grid) : Len(Grid[n]) = Len(PhaseOrder) + 1
    /\ LET cell == Table
       IN  \A p \in Phases, i \in Inputs : cell[p][i] \in Phases \cup {Stale, Refused}
    /\ Cardinality(Transitions) + Cardinality(StaleCells) + Cardinality(RefusedCells)
         = Cardinality(Phases) * Cardinality(Inputs)

\* The ladder has an answer wherever it is asked, and answers with a rung.
ASSUME LadderWellTyped ==
    /\ RungSet = { Rungs[n] : n \in 1..Len(Rungs) }
    /\ \A r \in RungSet : NextRungs[r] \in RungSet
    /\ \A i \in DOMAIN EntryRungs : EntryRungs[i] \in RungSet
    /\ DOMAIN EntryRungs = { t[2] : t \in { u \in Transitions : u[1] # "Stopping" /\ u[3] = "Stopping" } }

\* Every phase that has a deadline has a way out when it passes.
ASSUME DeadlinesWellTyped ==
    /\ DOMAIN Deadlines = Phases
    /\ \A t \in Timers : Elapsed[t] \in Inputs
    /\ \A p \in Phases : \/ Deadlines[p] = "none"
                         \/ /\ Deadlines[p] \in Timers
                            /\ Table[p][Elapsed[Deadlines[p]]] \in Phases

\* A worker ends once: nothing leads out of Terminated, and only the released port leads in.
ASSUME EndsOnce ==
    { t \in Transitions : "Terminated" \in {t[1], t[3]} } = { << "Stopping", "Released", "Terminated" >> }
================================================================================
