---------------------------- MODULE WorkerPoolLives -----------------------------
(*******************************************************************************)
(* Each worker of a pool lives as WorkerLifecycle says.                        *)
(*                                                                             *)
(* The pool is that of WorkerPool, with a variable that changes nothing in it: *)
(* the timers that each worker has started and that have not fired, which is   *)
(* all that WorkerLifecycle remembers and the pool does not.                   *)
(*                                                                             *)
(* Every step of the pool is for each worker no step, one step of its life, or *)
(* one of the few pairs of steps in TwoAtOnce that the pool takes together.    *)
(* The pool shows only some of the lives that WorkerLifecycle allows: here     *)
(* facts are told when they happen, cancelled timers do not fire, what comes   *)
(* too late is not sent, and idle ports do not break.  So what holds of every  *)
(* life there holds of every worker here, and not the other way round.         *)
(*******************************************************************************)
EXTENDS WorkerPool

CONSTANT Deadline

VARIABLE timers

livesVars == << phase, rung, port, marked, queue, asked, leases, session, home, size, cooling, failed, intake, stage,
                timers >>

(*******************************************************************************)
(* The timers.  One that fires is gone; a phase or a rung with a deadline      *)
(* starts its own, unless it runs already.                                     *)
(*******************************************************************************)

Fires(w, t) == \/ t = "Start" /\ phase[w] = "Initializing" /\ rung'[w] = EntryRung["StartElapsed"] /\ port'[w] = "opening"
               \/ t = "Drain" /\ phase[w] \in Draining /\ rung'[w] = EntryRung["DrainElapsed"] /\ ~DrainIsOver(w)

StartsTimer(w, t) == /\ phase[w] # "absent" /\ phase'[w] # phase[w]
                     /\ Deadline[phase'[w]] = t /\ Deadline[phase[w]] # t

TimersAfter(w) == { t \in Timers : (t \in timers[w] /\ ~Fires(w, t)) \/ StartsTimer(w, t) }

LivesInit == Init /\ timers = [w \in Workers |-> {Deadline["Initializing"]}]
LivesNext == Next /\ timers' = [w \in Workers |-> TimersAfter(w)]
LivesSpec == LivesInit /\ [][LivesNext]_livesVars

(*******************************************************************************)
(* The life of w.  One that is absent yet is about to begin it.                *)
(*******************************************************************************)

PhaseOf(w)  == IF phase[w] = "absent" THEN "Initializing" ELSE phase[w]
PortOf(w)   == IF port[w] = "none" THEN "opening" ELSE port[w]

\* One instance for the one worker that is looked at: an instance for each would be built anew in each step.
Watched == 1

LifePhase == PhaseOf(Watched)
LifePort  == PortOf(Watched)
LifeRung  == rung[Watched]
LifeTimers == timers[Watched]
Leases    == Cardinality({ l \in leases : l[2] = Watched })
HasOne    == HasSession(Watched)
LifeVars  == << LifePhase, LifeRung, LifeTimers, LifePort, Leases, HasOne >>

Life == INSTANCE WorkerLifecycle WITH
            phase <- LifePhase, rung <- LifeRung, timers <- LifeTimers, port <- LifePort, pending <- << >>,
            leases <- Leases, sessions <- HasOne

\* A fact that is told in the moment in which it happens.
HeardAtOnce == /\ \/ Life!React("Started")      /\ LifePort = "opening"                    /\ LifePort' = "open"
                  \/ Life!React("StartFailed")  /\ LifePort = "opening"                    /\ LifePort' = "broken"
                  \/ Life!React("Exited")   /\ LifePort \in {"opening", "open", "broken"} /\ LifePort' = "exited"
                  \/ Life!React("Released") /\ LifePort = "exited" /\ LifeRung = "Reap" /\ LifePort' = "released"
               /\ Leases' = Leases /\ HasOne' = HasOne

\* The first lease of the first session on a worker.
BoundByGrant == /\ LifePhase = "Ready" /\ Life!React("Checkout")
                /\ Leases' = Leases + 1 /\ HasOne' = TRUE /\ LifePort' = LifePort

\* The end of the probe in which a worker says once too often that it is not well.
RetiredByProbe == /\ LifePhase = "Busy" /\ LifePhase' = "Lingering"
                  /\ Leases' = Leases - 1 /\ HasOne' = HasOne
                  /\ LifeRung' = LifeRung /\ LifePort' = LifePort

TwoAtOnce == HeardAtOnce \/ BoundByGrant \/ RetiredByProbe

AWorkerLivesByItsTable == Life!Init /\ [][TwoAtOnce \/ Life!Next]_LifeVars

\* Where one worker is all there is, it is not spared because nobody could replace it.
AnyIsBearable(w) == w \in Workers
================================================================================
