---------------------------- MODULE WorkerPoolLives -----------------------------
(******************************************************************************)
(* Each worker of a pool behaves as WorkerLifecycle allows.                   *)
(*                                                                            *)
(* The pool is that of WorkerPool, with one auxiliary variable: the timers    *)
(* that each worker has started and that have not elapsed.  They are all      *)
(* that WorkerLifecycle remembers and WorkerPool does not.                    *)
(*                                                                            *)
(* For each worker, every step of the pool is no step, one step of            *)
(* WorkerLifecycle, or one of the pairs of steps in TwoAtOnce that the pool   *)
(* takes together.  The pool shows only some of the behaviours that           *)
(* WorkerLifecycle allows: here facts are handled when they happen,           *)
(* cancelled timers do not elapse, late inputs are not sent, and idle ports   *)
(* do not break.  So what holds of every worker there holds of every worker   *)
(* here, and not the other way round.                                         *)
(******************************************************************************)
EXTENDS WorkerPool

CONSTANT Deadline

VARIABLE timers

livesVars == << phase, rung, port, replacing, rolling, queue, asked, leases, session, home, size, backoff, failed,
                served, restart, intake, stage, timers >>

(******************************************************************************)
(* The timers.  A timer that elapses is gone.  A phase or a rung with a       *)
(* deadline starts its timer, unless it is running already.                   *)
(******************************************************************************)

Fires(w, t) == \/ t = "Start" /\ phase[w] = "Initializing" /\ rung'[w] = EntryRung["StartElapsed"] /\ port'[w] = "opening"
               \/ t = "Drain" /\ phase[w] \in Draining /\ rung'[w] = EntryRung["DrainElapsed"] /\ ~DrainIsOver(w)
               \/ t = "Rung" /\ phase[w] = "Stopping" /\ phase'[w] = "Terminated" /\ port'[w] # "released"

StartsTimer(w, t) == /\ phase[w] # "absent" /\ phase'[w] # phase[w]
                     /\ Deadline[phase'[w]] = t /\ Deadline[phase[w]] # t

TimersAfter(w) == { t \in Timers : (t \in timers[w] /\ ~Fires(w, t)) \/ StartsTimer(w, t) }

LivesInit == Init /\ timers = [w \in Workers |-> {Deadline["Initializing"]}]
LivesNext == Next /\ timers' = [w \in Workers |-> TimersAfter(w)]
LivesSpec == LivesInit /\ [][LivesNext]_livesVars

(******************************************************************************)
(* The worker's state in WorkerLifecycle.  An absent worker is about to       *)
(* start.                                                                     *)
(******************************************************************************)

PhaseOf(w)  == IF phase[w] = "absent" THEN "Initializing" ELSE phase[w]
PortOf(w)   == IF port[w] = "none" THEN "opening" ELSE port[w]

\* One instance, for one worker: the checker would build an instance for each worker anew in each step.
Watched == 1

LifePhase == PhaseOf(Watched)
LifePort  == PortOf(Watched)
LifeRung  == rung[Watched]
LifeTimers == timers[Watched]
Leases    == Cardinality({ l \in leases : l[2] = Watched })
HasOne    == HasSession(Watched)
LifeIsReaped == LifeRung = "Reap" \/ LifePhase = "Terminated"
LifeVars  == << LifePhase, LifeRung, LifeTimers, LifePort, Leases, HasOne >>

Life == INSTANCE WorkerLifecycle WITH
            phase <- LifePhase, rung <- LifeRung, timers <- LifeTimers, port <- LifePort, pending <- << >>,
            leases <- Leases, sessions <- HasOne

\* A fact that is handled when it happens.
HeardAtOnce == /\ \/ Life!React("Started")     /\ LifePort = "opening"                         /\ LifePort' = "open"
                  \/ Life!React("StartFailed") /\ LifePort = "opening"                         /\ LifePort' = "broken"
                  \/ Life!React("Fault")       /\ LifePort = "open"                            /\ LifePort' = "broken"
                  \/ Life!React("Exited")      /\ LifePort \in {"opening", "open", "broken"}   /\ LifePort' = "exited"
                  \/ Life!React("Released")    /\ LifePort = "exited" /\ LifeIsReaped         /\ LifePort' = "released"
               /\ Leases' = Leases /\ HasOne' = HasOne

\* The first lease of a worker's first session.
BoundByGrant == /\ LifePhase = "Ready" /\ Life!React("Checkout")
                /\ Leases' = Leases + 1 /\ HasOne' = TRUE /\ LifePort' = LifePort

\* The end of a health check in which a worker reports itself unhealthy too often.
RetiredByProbe == /\ LifePhase = "Busy" /\ LifePhase' = "Lingering"
                  /\ Leases' = Leases - 1 /\ HasOne' = HasOne
                  /\ LifeRung' = LifeRung /\ LifePort' = LifePort

TwoAtOnce == HeardAtOnce \/ BoundByGrant \/ RetiredByProbe

AWorkerLivesByItsTable == Life!Init /\ [][TwoAtOnce \/ Life!Next]_LifeVars

\* A pool of one worker has no replacement for it, and does not spare it for that.
AnyIsBearable(w) == w \in Workers
================================================================================
