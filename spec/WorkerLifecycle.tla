---------------------------- MODULE WorkerLifecycle ----------------------------
(*******************************************************************************)
(* The life of one worker, in a world that may do its worst.                   *)
(*                                                                             *)
(* The worker is the machine in src/worker.  It does nothing by itself: it is  *)
(* told what happened (an input), looks the input up in WorkerTable, moves or  *)
(* does not, and gives orders.  All that is uncertain is around it:            *)
(*                                                                             *)
(*   - a port: a child process and its pipes, which may fail to start, hang,   *)
(*     talk nonsense or exit at any moment, and whose facts reach the worker   *)
(*     later than they happen;                                                 *)
(*   - clients, who may keep a lease for ever, end it cleanly or in the middle *)
(*     of an exchange, and do so also after the worker was stopped under them; *)
(*   - the clock: a deadline may pass at any moment, and one that was          *)
(*     cancelled may be on its way already;                                    *)
(*   - a supervisor, who may retire a worker at any moment, even an ended one. *)
(*                                                                             *)
(* What is left out, and why nothing is hidden by that:                        *)
(*                                                                             *)
(*   - Time.  A running deadline may pass in any state and must pass at last,  *)
(*     so every real timing is one of the behaviours here.                     *)
(*   - Numbers of clients, sessions, exchanges.  The worker does not count;    *)
(*     whoever counts sends an input.  Here that input may come whenever some  *)
(*     count could allow it.                                                   *)
(*   - The generations by which a driver tells an old timer from a new one.    *)
(*     Here each late timer reaches the worker.  A driver that drops some of   *)
(*     them shows a part of the behaviours here.                               *)
(*   - The processes below the leader.  They are killed and awaited on the     *)
(*     rung Reap; that a port is not released before is the driver's duty and  *)
(*     is tested on real processes.                                            *)
(*   - Other workers.  They share slots and clients with this one, never       *)
(*     state: they are part of what may happen at any moment.                  *)
(*                                                                             *)
(* No definition here uses UNCHANGED: the pool's specification instantiates    *)
(* this module once for each worker, and says x' = x as this one does.         *)
(*******************************************************************************)
EXTENDS WorkerTable

CONSTANTS           \* The configuration binds each to its table in WorkerTable; a mutant binds another one.
    Cell,           \* Cell[p][i]: what the worker makes of input i in phase p
    EntryRung,      \* EntryRung[i]: the rung that a worker takes when i sends it to Stopping
    NextRung,       \* NextRung[r]: the rung after r
    Deadline        \* Deadline[p]: the deadline that runs in phase p, or "none"

VARIABLES
    \* The worker's machine, and what it has ordered of the clock:
    phase,          \* where it is in its life
    rung,           \* the rung of the ladder that it stands on while Stopping, else "none"
    timers,         \* the timers that were started and have not fired; a cancelled one may still do so
    \* The world:
    port,           \* "opening", "open", "broken" (alive, but no longer to be talked to), "exited", "released"
    news,           \* facts about the port that the worker has not been told yet, the oldest first
    leases,         \* how many leases are out: granted, and not yet given back
    sessions        \* whether some client has a session on this worker

vars == << phase, rung, timers, port, news, leases, sessions >>

Serving  == {"Ready", "Busy"}
Draining == {"Lingering", "Finishing"}
Ending   == {"Stopping", "Terminated"}
Alive    == {"opening", "open", "broken"}

--------------------------------------------------------------------------------
(*******************************************************************************)
(* The worker.  React(i) is its whole answer to input i.                       *)
(*******************************************************************************)

Moves(i)  == Cell[phase][i] \notin {Stale, Refused}
Target(i) == IF Moves(i) THEN Cell[phase][i] ELSE phase

RungAfter(i) == IF Target(i) # "Stopping" THEN "none"
                ELSE IF ~Moves(i)         THEN rung
                ELSE IF i = "RungElapsed" THEN NextRung[rung]
                ELSE                           EntryRung[i]

\* A deadline starts where another one ran, or none.  On the ladder each rung starts its own.
Starts(from, to) == IF to = "Stopping" \/ Deadline[to] # Deadline[from]
                    THEN {Deadline[to]} \ {"none"}
                    ELSE {}

\* Leaving a phase cancels its deadline, but who cancels may be late: the timer stays, and may fire.
TimersAfter(i) == (timers \ { t \in Timers : Elapsed[t] = i })
                    \cup (IF Moves(i) THEN Starts(phase, Target(i)) ELSE {})

React(i) == /\ phase'  = Target(i)
            /\ rung'   = RungAfter(i)
            /\ timers' = TimersAfter(i)

--------------------------------------------------------------------------------
(*******************************************************************************)
(* The port's own life.  The worker is not asked; it gets the news.            *)
(*******************************************************************************)

\* What there is to tell of a port. Of any two facts the one listed first happens first, if both happen.
Facts       == << "Started", "StartFailed", "Fault", "Exited", "Released" >>
FactRank(f) == CHOOSE n \in 1..Len(Facts) : Facts[n] = f

Becomes(p, facts) == /\ port' = p
                     /\ news' = news \o facts
                     /\ phase' = phase /\ rung' = rung /\ timers' = timers
                     /\ leases' = leases /\ sessions' = sessions

Answers     == port = "opening"  /\ Becomes("open",   << "Started" >>)
Rejects     == port = "opening"  /\ Becomes("broken", << "StartFailed" >>)
NeverSpawns == port = "opening"  /\ Becomes("exited", << "StartFailed", "Exited" >>)
Breaks      == port = "open"     /\ Becomes("broken", << "Fault" >>)
Exits       == port \in Alive    /\ Becomes("exited", << "Exited" >>)

\* The driver releases a port when it is told to reap it, and has seen it exit.
Releases == rung = "Reap" /\ port = "exited" /\ Becomes("released", << "Released" >>)

(*******************************************************************************)
(* The inputs, by those who send them.                                         *)
(*******************************************************************************)

\* One task owns the port and tells its facts, in the order in which they happened.
Hear(i) == /\ news # << >> /\ Head(news) = i
           /\ React(i)
           /\ news' = Tail(news)
           /\ port' = port /\ leases' = leases /\ sessions' = sessions

\* A client is granted a lease on a ready worker, and on a draining one if it has a session there.
Grantable == phase = "Ready" \/ (phase = "Lingering" /\ sessions)

Grant == /\ Grantable
         /\ React("Checkout")
         /\ leases' = leases + 1
         /\ port' = port /\ news' = news /\ sessions' = sessions

\* Every lease is given back, cleanly or not, or never; also long after the worker was stopped.
GiveBack(i) == /\ leases > 0
               /\ React(i)
               /\ leases' = leases - 1
               /\ port' = port /\ news' = news /\ sessions' = sessions

\* The rest tell the worker something that changes nothing around it.
Unmoved == port' = port /\ news' = news /\ leases' = leases /\ sessions' = sessions

\* Who retires does not look first: a worker may have ended by itself a moment ago.
Retire == React("Retire") /\ Unmoved

\* Who counts sessions does look: it speaks only of a worker that takes no new ones any more.
EndSessions == phase \in Draining \cup Ending /\ ~sessions /\ React("SessionsEnded") /\ Unmoved

Elapse(t) == t \in timers /\ React(Elapsed[t]) /\ Unmoved

\* The steps in which the worker is told i.
Tell(i) == \/ Hear(i)
           \/ i = "Checkout"            /\ Grant
           \/ i \in {"Checkin", "Fault"} /\ GiveBack(i)
           \/ i = "Retire"              /\ Retire
           \/ i = "SessionsEnded"       /\ EndSessions
           \/ \E t \in Timers : Elapsed[t] = i /\ Elapse(t)

\* Sessions begin only on a worker that serves, and end when their clients like.
SessionsBecome(some) == /\ sessions' = some
                        /\ phase' = phase /\ rung' = rung /\ timers' = timers
                        /\ port' = port /\ news' = news /\ leases' = leases

OpenSession  == phase \in Serving /\ ~sessions /\ SessionsBecome(TRUE)
CloseSession == sessions /\ SessionsBecome(FALSE)

--------------------------------------------------------------------------------

Init == /\ phase = "Initializing" /\ rung = "none" /\ timers = {Deadline["Initializing"]} \ {"none"}
        /\ port = "opening" /\ news = << >> /\ leases = 0 /\ sessions = FALSE

Next == \/ Answers \/ Rejects \/ NeverSpawns \/ Breaks \/ Exits \/ Releases
        \/ OpenSession \/ CloseSession
        \/ \E i \in Inputs : Tell(i)

(*******************************************************************************)
(* What is relied on, and nothing more:                                        *)
(*                                                                             *)
(*   - the driver tells what it knows;                                         *)
(*   - a deadline that runs passes (a cancelled one need not fire);            *)
(*   - SIGKILL ends a process: nothing can ignore it;                          *)
(*   - the driver releases a port that it was told to reap.                    *)
(*                                                                             *)
(* It is not relied on that a handshake is answered, refused or fails, that a  *)
(* worker obeys a shutdown frame or SIGTERM, that clients give leases back,    *)
(* that sessions end, or that anybody retires anything.                        *)
(*******************************************************************************)

NewsArrives    == news # << >> /\ Hear(Head(news))
DeadlinePasses == Deadline[phase] # "none" /\ Elapse(Deadline[phase])
KillEnds       == rung = "Kill" /\ Exits

Fairness == WF_vars(NewsArrives) /\ WF_vars(DeadlinePasses) /\ WF_vars(KillEnds) /\ WF_vars(Releases)

Spec == Init /\ [][Next]_vars /\ Fairness

--------------------------------------------------------------------------------
(*******************************************************************************)
(* Safety: in every state.                                                     *)
(*******************************************************************************)

TypeOK == /\ phase \in Phases
          /\ rung \in (IF phase = "Stopping" THEN RungSet ELSE {"none"})
          /\ timers \subseteq Timers
          /\ port \in Alive \cup {"exited", "released"}
          /\ news \in Seq({ Facts[n] : n \in 1..Len(Facts) })
          /\ leases \in Nat
          /\ sessions \in BOOLEAN

\* A rejection always means a defect in the driver: no world in which it does its duty leads to one.
NeverRefused == \A i \in Inputs : ENABLED Tell(i) => Cell[phase][i] # Refused

\* A worker has ended exactly when its port is released and the worker has been told.
TerminatedIsReleased == phase = "Terminated" <=> (port = "released" /\ news = << >>)

AtMostOneLease == leases <= 1

\* The phases that say "leased" and the lease that is out agree. On one that is ending it may be out either way.
LeaseMatchesPhase == /\ phase \in {"Busy", "Finishing"}                 => leases = 1
                     /\ phase \in {"Initializing", "Ready", "Lingering"} => leases = 0

\* Nobody meets a worker that has not answered its handshake.
ServesOnlyOpened == phase \in Serving \cup Draining => port # "opening"

\* Only a worker that serves may stay where it is for ever, and one that has ended.
DeadlineRuns == phase \notin Serving \cup {"Terminated"} => Deadline[phase] \in timers

\* A process group is reaped only once its leader is a zombie: before, its id could not be trusted to stay its own.
ReapsOnlyTheExited == rung = "Reap" => port \in {"exited", "released"}

\* Who is retired drains, and is not cut short; who has not started yet has nothing to drain. Stated with ENABLED, as
\* are all properties that a step breaks by changing nothing: [][A]_vars looks away from those.
RetireIsHeeded == /\ phase \in Serving \cup Draining => ~ENABLED (Retire /\ phase' \notin Draining)
                  /\ phase = "Initializing"           => ~ENABLED (Retire /\ phase' # "Stopping")

\* A drain that nothing holds back any more does not wait for its deadline.
DrainEndsWithSessions == phase = "Lingering" => ~ENABLED (EndSessions /\ phase' # "Stopping")

\* No fact overtakes another.
FactsInOrder == \A m, n \in 1..Len(news) : m < n => FactRank(news[m]) < FactRank(news[n])

(*******************************************************************************)
(* Safety: in every step.                                                      *)
(*******************************************************************************)

\* A lease is granted by a worker that serves everybody, or by one that still serves its own sessions.
GrantsAreEarned == [][leases' > leases => phase = "Ready" \/ (phase = "Lingering" /\ sessions)]_vars

DrainingNeverServesAgain == [][(phase \in Draining) => phase' \notin Serving]_vars

StoppingOnlyEnds == [][phase = "Stopping" => phase' \in Ending]_vars

TerminatedIsFinal == [][phase = "Terminated" => phase' = "Terminated"]_vars

\* Nobody drains unless somebody has retired it.
DrainsOnlyTheRetired == [][(phase \notin Draining /\ phase' \in Draining) => Retire]_vars

\* Whoever finds the worker faulty, a client or the driver, nobody is served by it afterwards.
FaultedNeverServes == [][Tell("Fault") \/ Tell("StartFailed") => phase' \in Ending]_vars

\* A client keeps its lease until it gives it back, unless the worker fails or the drain deadline passes.
LeasesAreHonoured == [][(phase \in {"Busy", "Finishing"} /\ phase' = "Stopping")
                            => Tell("Fault") \/ Tell("Exited") \/ Tell("DrainElapsed")]_vars

\* A timer that fires outside the phase whose deadline it was changes nothing else.
LateTimersAreHarmless ==
    [][\A t \in timers \ {Deadline[phase]} : t \notin timers' => phase' = phase /\ rung' = rung]_vars

\* No process is killed that was not told to end before, and nobody climbs down the ladder.
KillComesAfterTerm == [][rung' = "Kill" => rung \in {"Term", "Kill"}]_vars
LadderOnlyRises    == [][(rung \in RungSet /\ rung' \in RungSet) => RankOf(rung) <= RankOf(rung')]_vars

(*******************************************************************************)
(* Liveness: in the long run.                                                  *)
(*******************************************************************************)

EveryStartEnds == phase = "Initializing" ~> phase \in {"Ready", "Terminated"}
EveryDrainEnds == phase \in Draining     ~> phase = "Terminated"
EveryStopEnds  == phase = "Stopping"     ~> phase = "Terminated"

\* A worker's exit is noticed whatever the worker was doing, and so is its talking nonsense.
EveryExitIsNoticed  == port = "exited" ~> phase = "Terminated"
EveryBreakIsNoticed == port = "broken" ~> phase = "Terminated"
================================================================================
