---------------------------- MODULE WorkerLifecycle ----------------------------
(*******************************************************************************)
(* The life of one worker, in an adversarial environment.                      *)
(*                                                                             *)
(* The worker is the machine in src/worker.  It is passive: it receives an     *)
(* input (a fact that happened), looks it up in WorkerTable, makes a           *)
(* transition or not, and gives orders.  The environment is nondeterministic:  *)
(*                                                                             *)
(*   - A port: a child process and its pipes.  It may fail to start, hang,     *)
(*     break the protocol, survive SIGKILL or exit at any time, and the worker *)
(*     learns of that at any later time.  It may never be released.            *)
(*   - Clients.  They may keep a lease forever and return it between two calls *)
(*     or in the middle of one, even after the worker was stopped.             *)
(*   - A clock.  A running deadline may pass at any time, and a cancelled      *)
(*     timer may still fire.                                                   *)
(*   - A supervisor.  It may retire a worker at any time, even one that has    *)
(*     ended, and abandon a port that is not released in time.                 *)
(*                                                                             *)
(* What is abstracted, and why that is sound:                                  *)
(*                                                                             *)
(*   - Time.  A running deadline may pass in any state and must pass           *)
(*     eventually, so every real timing is a behaviour of this module.         *)
(*   - Counts of clients, sessions and calls.  The machine keeps none; the     *)
(*     supervisor does, and sends the input that follows.  Here that input may *)
(*     come in every state that some count allows.                             *)
(*   - Generations of timers.  Here every late timer reaches the worker.  A    *)
(*     supervisor that drops some of them by their generation has a subset of  *)
(*     the behaviours of this module.                                          *)
(*   - Processes below the leader.  Rung Reap kills and awaits them.  That no  *)
(*     port is released earlier is the driver's duty; tests check it on real   *)
(*     processes.                                                              *)
(*   - Other workers.  They share slots and clients with this one, but no      *)
(*     state: their influence is among the inputs that may come at any time.   *)
(*                                                                             *)
(* No definition uses UNCHANGED: the pool's specification instantiates this    *)
(* module, and the checker of `cargo test` does not accept UNCHANGED there.    *)
(*******************************************************************************)
EXTENDS WorkerTable

CONSTANTS           \* The configuration binds each to its table in WorkerTable. A mutant binds its own.
    Cell,           \* Cell[p][i]: the next phase for input i in phase p, or a mark
    EntryRung,      \* EntryRung[i]: the first rung when input i leads to Stopping
    NextRung,       \* NextRung[r]: the rung after r
    Deadline        \* Deadline[p]: the deadline that runs in phase p, or "none"

VARIABLES
    \* The worker's machine and its timers:
    phase,          \* its phase
    rung,           \* its rung while Stopping, else "none"
    timers,         \* timers started and not fired yet; a cancelled timer stays, and may still fire
    \* The environment:
    port,           \* "opening", "open", "broken" (alive, off protocol), "exited" or "released"
    pending,        \* facts about the port that the worker has not received yet, oldest first
    leases,         \* leases granted and not yet returned
    sessions        \* whether any session is bound to this worker

vars == << phase, rung, timers, port, pending, leases, sessions >>

Serving  == {"Ready", "Busy"}
Draining == {"Lingering", "Finishing"}
Ending   == {"Stopping", "Terminated"}
Alive    == {"opening", "open", "broken"}

--------------------------------------------------------------------------------
(*******************************************************************************)
(* The worker.  React(i) is its complete reaction to input i.                  *)
(*******************************************************************************)

Moves(i)  == Cell[phase][i] \notin {Stale, Refused}
Target(i) == IF Moves(i) THEN Cell[phase][i] ELSE phase

RungAfter(i) == IF Target(i) # "Stopping" THEN "none"
                ELSE IF ~Moves(i)         THEN rung
                ELSE IF i = "RungElapsed" THEN NextRung[rung]
                ELSE                           EntryRung[i]

\* A transition starts the deadline of its target, unless that deadline runs already. Each rung
\* starts its own.
Starts(from, to) == IF to = "Stopping" \/ Deadline[to] # Deadline[from]
                    THEN {Deadline[to]} \ {"none"}
                    ELSE {}

\* A transition cancels the old deadline, but the cancellation may be too late. So the timer stays
\* here and may fire.
TimersAfter(i) == (timers \ { t \in Timers : Elapsed[t] = i \/ (t = "Rung" /\ i = "Abandoned") })
                    \cup (IF Moves(i) THEN Starts(phase, Target(i)) ELSE {})

React(i) == /\ phase'  = Target(i)
            /\ rung'   = RungAfter(i)
            /\ timers' = TimersAfter(i)

--------------------------------------------------------------------------------
(*******************************************************************************)
(* The port.  It changes by itself, and the worker receives the facts later.   *)
(*******************************************************************************)

\* The facts about a port, in the order in which they happen. Not every port has all of them.
Facts       == << "Started", "StartFailed", "Fault", "Exited", "Released" >>
FactRank(f) == CHOOSE n \in 1..Len(Facts) : Facts[n] = f

Becomes(p, facts) == /\ port' = p
                     /\ pending' = pending \o facts
                     /\ phase' = phase /\ rung' = rung /\ timers' = timers
                     /\ leases' = leases /\ sessions' = sessions

Answers     == port = "opening"  /\ Becomes("open",   << "Started" >>)
Rejects     == port = "opening"  /\ Becomes("broken", << "StartFailed" >>)
NeverSpawns == port = "opening"  /\ Becomes("exited", << "StartFailed", "Exited" >>)
Breaks      == port = "open"     /\ Becomes("broken", << "Fault" >>)
Exits       == port \in Alive    /\ Becomes("exited", << "Exited" >>)

\* The driver releases a port once it is ordered to reap it and has seen it exit. It goes on trying
\* after the port was abandoned.
Releases == (rung = "Reap" \/ phase = "Terminated") /\ port = "exited" /\ Becomes("released", << "Released" >>)

(*******************************************************************************)
(* The inputs, by sender.                                                      *)
(*******************************************************************************)

\* The driver. One task owns the port and delivers its facts in order.
Deliver(i) == /\ pending # << >> /\ Head(pending) = i
              /\ React(i)
              /\ pending' = Tail(pending)
              /\ port' = port /\ leases' = leases /\ sessions' = sessions

\* The supervisor grants a ready worker to any client, and a draining worker to a client of a
\* session bound to it.
Grantable == phase = "Ready" \/ (phase = "Lingering" /\ sessions)

Grant == /\ Grantable
         /\ React("Checkout")
         /\ leases' = leases + 1
         /\ port' = port /\ pending' = pending /\ sessions' = sessions

\* A client. It returns its lease between two calls (Checkin), in the middle of one (Fault), or
\* never, and possibly long after the worker was stopped.
Return(i) == /\ leases > 0
             /\ React(i)
             /\ leases' = leases - 1
             /\ port' = port /\ pending' = pending /\ sessions' = sessions

\* The other inputs change nothing in the environment.
Unmoved == port' = port /\ pending' = pending /\ leases' = leases /\ sessions' = sessions

\* The supervisor may retire any worker: it may not know yet that the worker has ended.
Retire == React("Retire") /\ Unmoved

\* The supervisor counts sessions, so it reports their end only for a worker that accepts no new
\* ones.
EndSessions == phase \in Draining \cup Ending /\ ~sessions /\ React("SessionsEnded") /\ Unmoved

Elapse(t) == t \in timers /\ React(Elapsed[t]) /\ Unmoved

\* The supervisor gives up a port whose last deadline has passed. It counts abandoned ports, so it may
\* also let the rung be repeated.
Abandon == rung \in LastRungs /\ "Rung" \in timers /\ React("Abandoned") /\ Unmoved

\* Every step in which the worker is fed input i.
Feed(i) == \/ Deliver(i)
           \/ i = "Checkout"             /\ Grant
           \/ i \in {"Checkin", "Fault"} /\ Return(i)
           \/ i = "Retire"               /\ Retire
           \/ i = "SessionsEnded"        /\ EndSessions
           \/ i = "Abandoned"            /\ Abandon
           \/ \E t \in Timers : Elapsed[t] = i /\ Elapse(t)

\* A session is bound only to a serving worker, and ends at any time.
SessionsBecome(some) == /\ sessions' = some
                        /\ phase' = phase /\ rung' = rung /\ timers' = timers
                        /\ port' = port /\ pending' = pending /\ leases' = leases

OpenSession  == phase \in Serving /\ ~sessions /\ SessionsBecome(TRUE)
CloseSession == sessions /\ SessionsBecome(FALSE)

--------------------------------------------------------------------------------

Init == /\ phase = "Initializing" /\ rung = "none" /\ timers = {Deadline["Initializing"]} \ {"none"}
        /\ port = "opening" /\ pending = << >> /\ leases = 0 /\ sessions = FALSE

Next == \/ Answers \/ Rejects \/ NeverSpawns \/ Breaks \/ Exits \/ Releases
        \/ OpenSession \/ CloseSession
        \/ \E i \in Inputs : Feed(i)

(*******************************************************************************)
(* Fairness.  The liveness properties assume only that                         *)
(*                                                                             *)
(*   - the driver delivers every fact;                                         *)
(*   - a running deadline passes (a cancelled timer need not fire);            *)
(*   - the supervisor does not let the last rungs be repeated for ever.        *)
(*                                                                             *)
(* They do not assume that a handshake is answered, refused or fails, that a   *)
(* worker obeys a shutdown frame or SIGTERM, that SIGKILL ends a process, that *)
(* a port is released, that clients return leases, that sessions end, or that  *)
(* the supervisor retires workers.                                             *)
(*******************************************************************************)

Delivers       == pending # << >> /\ Deliver(Head(pending))
DeadlinePasses == Deadline[phase] # "none" /\ Elapse(Deadline[phase])

Fairness == WF_vars(Delivers) /\ WF_vars(DeadlinePasses) /\ WF_vars(Abandon)

Spec == Init /\ [][Next]_vars /\ Fairness

--------------------------------------------------------------------------------
(*******************************************************************************)
(* Safety: in every state.                                                     *)
(*******************************************************************************)

TypeOK == /\ phase \in Phases
          /\ rung \in (IF phase = "Stopping" THEN RungSet ELSE {"none"})
          /\ timers \subseteq Timers
          /\ port \in Alive \cup {"exited", "released"}
          /\ pending \in Seq({ Facts[n] : n \in 1..Len(Facts) })
          /\ leases \in Nat
          /\ sessions \in BOOLEAN

\* No correct environment sends an input that the table refuses. So a rejection is always a defect
\* in the driver.
NeverRefused == \A i \in Inputs : ENABLED Feed(i) => Cell[phase][i] # Refused

\* A worker is terminated once its port is released and it has received every fact.
ReleasedIsTerminated == port = "released" /\ pending = << >> => phase = "Terminated"

AtMostOneLease == leases <= 1

\* The leased phases have a lease, and the idle ones have none. An ending worker may still have one.
LeaseMatchesPhase == /\ phase \in {"Busy", "Finishing"}                  => leases = 1
                     /\ phase \in {"Initializing", "Ready", "Lingering"} => leases = 0

\* No client gets a worker that has not answered its handshake.
ServesOnlyOpened == phase \in Serving \cup Draining => port # "opening"

\* Every phase has a running deadline, except the serving ones and Terminated.
DeadlineRuns == phase \notin Serving \cup {"Terminated"} => Deadline[phase] \in timers

\* A group is reaped only once its leader has exited: the zombie keeps the group's id from being
\* reused.
ReapsOnlyTheExited == rung = "Reap" => port \in {"exited", "released"}

\* Retirement drains a serving worker, leaves a draining one draining, and stops one that has not
\* started. With ENABLED, because [][A]_vars ignores a step that changes nothing, and such a step is
\* what would violate this property.
RetireIsHeeded == /\ phase \in Serving \cup Draining => ~ENABLED (Retire /\ phase' \notin Draining)
                  /\ phase = "Initializing"          => ~ENABLED (Retire /\ phase' # "Stopping")

\* A drain ends with its last session, before its deadline. With ENABLED for the same reason.
DrainEndsWithSessions == phase = "Lingering" => ~ENABLED (EndSessions /\ phase' # "Stopping")

\* Pending facts are in the order in which they happened.
FactsInOrder == \A m, n \in 1..Len(pending) : m < n => FactRank(pending[m]) < FactRank(pending[n])

(*******************************************************************************)
(* Safety: in every step.                                                      *)
(*******************************************************************************)

\* A lease is granted only on a ready worker, or on a draining one with sessions.
GrantsAreEarned == [][leases' > leases => phase = "Ready" \/ (phase = "Lingering" /\ sessions)]_vars

DrainingNeverServesAgain == [][(phase \in Draining) => phase' \notin Serving]_vars

StoppingOnlyEnds == [][phase = "Stopping" => phase' \in Ending]_vars

TerminatedIsFinal == [][phase = "Terminated" => phase' = "Terminated"]_vars

\* A worker is terminated when its port is released, or when it is abandoned because the deadline of
\* SIGKILL or of the release has passed.
TerminatedIsReleased == [][(phase # "Terminated" /\ phase' = "Terminated") =>
    \/ port = "released" /\ pending' = << >>
    \/ rung \in {"Kill", "Reap"} /\ "Rung" \in timers \ timers']_vars

\* Only a retired worker drains.
DrainsOnlyTheRetired == [][(phase \notin Draining /\ phase' \in Draining) => Retire]_vars

\* A faulty worker serves no client again, whether a client or the driver found the fault.
FaultedNeverServes == [][Feed("Fault") \/ Feed("StartFailed") => phase' \in Ending]_vars

\* A leased worker is stopped only if it fails or the drain deadline passes.
LeasesAreHonoured == [][(phase \in {"Busy", "Finishing"} /\ phase' = "Stopping")
                            => Feed("Fault") \/ Feed("Exited") \/ Feed("DrainElapsed")]_vars

\* A lingering worker with sessions is stopped only if it fails or the drain deadline passes.
SessionsAreHonoured == [][(phase = "Lingering" /\ sessions /\ phase' = "Stopping")
                            => Feed("Fault") \/ Feed("Exited") \/ Feed("DrainElapsed")]_vars

\* A draining worker gets no new session.
NewSessionsAreServed == [][(~sessions /\ sessions') => phase \in Serving]_vars

\* A port is released only on order, and only after its process has exited.
ReleasesAreOrdered == [][(port # "released" /\ port' = "released")
                            => port = "exited" /\ (rung = "Reap" \/ phase = "Terminated")]_vars

\* A timer that is not the deadline of the current phase changes neither phase nor rung when it
\* fires.
LateTimersAreHarmless ==
    [][\A t \in timers \ {Deadline[phase]} : t \notin timers' => phase' = phase /\ rung' = rung]_vars

\* An exit is answered with the last rung, unless the port is abandoned already.
ExitsAreReaped == [][Feed("Exited") => rung' = "Reap" \/ phase = "Terminated"]_vars

\* A stop begins with the shutdown frame; with SIGTERM if the worker failed; and on the last rung if
\* it has exited.
StopsBeginAtTheirRung ==
    [][(phase # "Stopping" /\ phase' = "Stopping") =>
        rung' = IF Feed("Exited") THEN "Reap"
                ELSE IF Feed("Fault") \/ Feed("StartFailed") \/ Feed("StartElapsed") THEN "Term"
                ELSE "Ask"]_vars

\* SIGKILL comes only after SIGTERM, and no worker goes back to a lower rung.
KillComesAfterTerm == [][rung' = "Kill" => rung \in {"Term", "Kill"}]_vars
LadderOnlyRises    == [][(rung \in RungSet /\ rung' \in RungSet) => RankOf(rung) <= RankOf(rung')]_vars

(*******************************************************************************)
(* Liveness: eventually.                                                       *)
(*******************************************************************************)

EveryStartEnds == phase = "Initializing" ~> phase \in {"Ready", "Terminated"}
EveryDrainEnds == phase \in Draining     ~> phase = "Terminated"
EveryStopEnds  == phase = "Stopping"     ~> phase = "Terminated"    \* even if the port is never released

\* The worker of an exited or broken port terminates, whatever its phase.
EveryExitIsNoticed  == port = "exited" ~> phase = "Terminated"
EveryBreakIsNoticed == port = "broken" ~> phase = "Terminated"
================================================================================
