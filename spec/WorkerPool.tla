------------------------------- MODULE WorkerPool -------------------------------
(******************************************************************************)
(* A pool of workers, its clients and its owner.                              *)
(*                                                                            *)
(* The pool is the supervisor in src/supervisor.  It is fed one input at a    *)
(* time, and after each input it settles: it takes decisions until none is    *)
(* left.  Here each input and each decision is one action, and an input       *)
(* reaches the pool only when it is Settled.                                  *)
(*                                                                            *)
(*   - Workers follow WorkerTable.  Each has a port and at most one lease.    *)
(*     A worker in `replacing` serves until its replacement is ready.         *)
(*   - Clients wait in one FIFO queue, either for any worker or for their     *)
(*     session's worker.  A client may return a lease at any time, even       *)
(*     after its worker was stopped.                                          *)
(*   - A lease belongs to a client or to the pool itself.  The pool holds     *)
(*     one for each health check, and for each call that a client gave up     *)
(*     and that the worker has been told to cancel.                           *)
(*   - A session is bound to one worker by its first lease.  When that        *)
(*     worker leaves, the session is lost.                                    *)
(*   - The owner resizes, drains, restarts and shuts down the pool.  The      *)
(*     pool reports once how a drain, a rolling restart and the draining      *)
(*     part of a shutdown ended.  A shutdown waits for an idle session only   *)
(*     for a grace.                                                           *)
(*   - A port that is not released in time is abandoned: its worker ends and  *)
(*     its slot is free.  At most `size` ports may be abandoned at a time.    *)
(*                                                                            *)
(* What is abstracted, and why every behaviour of the code is still here:     *)
(*                                                                            *)
(*   - Time.  A running deadline may pass in any state.                       *)
(*   - Delays.  A fact about a port is handled when it happens.  A fact       *)
(*     that reaches the code late is here one that happens late, and a slot   *)
(*     is freed no earlier than its port.                                     *)
(*   - Late inputs.  They change nothing (see WorkerTable), so they are no    *)
(*     steps.  A lease that is returned late is a step: it frees its client.  *)
(*   - Counts of calls, errors, bytes, missed health checks and seconds.      *)
(*     Whatever a count can cause may happen at any time.  So a crash backs   *)
(*     off or does not: the code counts the crashes that preceded it.         *)
(*   - Which ready worker is granted: any.                                    *)
(*   - How many workers a rolling restart has replaced.  `rolling` holds the  *)
(*     chosen workers that still serve, which decides how it ends.            *)
(*   - Positions.  They decide which worker retires, where any may, and that  *)
(*     a worker without a position of its own is replaced, as any may be.     *)
(*   - Slots.  A replacement is a new worker, opened at most once.  Because   *)
(*     workers are finite, nothing goes wrong with the last ones              *)
(*     (Bearable): more workers allow more to go wrong.  The steps of the     *)
(*     code are checked without that bound.                                   *)
(*   - Names.  A client or a session is reused once everything that it had    *)
(*     is over.  In the code each has a new id.                               *)
(******************************************************************************)
EXTENDS WorkerTable

CONSTANTS           \* The tables are bound as in WorkerLifecycle.
    Cell,           \* Cell[p][i]: the phase after input i in phase p, or Stale, or Refused
    EntryRung,      \* EntryRung[i]: the rung that a worker starts on when i sends it to Stopping
    NextRung,       \* NextRung[r]: the rung after r
    \* The policy:
    Size,           \* workers to keep serving, at first
    Surge,          \* ports allowed beyond the size
    MaxStarting,    \* workers that may be starting at the same time
    MaxWaiting,     \* clients that may wait
    MaxSessions,    \* sessions that may be open
    CrashLoop,      \* consecutive failed starts after which waiting clients are refused
    \* The environment:
    Workers,        \* all workers that can ever be opened: 1..n
    Clients,
    Sessions,
    Sizes,          \* the sizes that the owner may choose
    Happens         \* which kinds of events this configuration includes: a subset of Kinds

VARIABLES
    \* Workers:
    phase,          \* the phase of each, or "absent" before it is opened
    rung,           \* the rung of the stop ladder that each is on while Stopping, else "none"
    port,           \* "none", "opening", "open", "broken", "exited", "released"
    replacing,      \* serving workers that retire once the pool can spare them
    rolling,        \* workers that the rolling restart chose and that still serve
    \* Clients:
    queue,          \* waiting clients, the longest-waiting first
    asked,          \* "any" or a session, until the client is refused or returns its lease; else "nothing"
    leases,         \* leases that are out: pairs of a holder and a worker
    \* Sessions:
    session,        \* "closed", "unbound", "bound", or "lost": its client has not been told yet
    home,           \* the worker of a bound session, else 0
    \* The pool:
    size,           \* workers to keep serving now
    backoff,        \* vacancies held back because workers failed
    failed,         \* consecutive failed starts, counted up to CrashLoop
    served,         \* whether a worker has ever served
    restart,        \* the rolling restart: "idle", "rolling"; to be reported: "failed", "closed"
    intake,         \* "Open", "Draining", "Drained" (reported); to be reported: "Resumed"
    stage           \* "Open", "Draining", "Hurrying" (idle sessions hold no worker), "Stopping", "Closed"

vars == << phase, rung, port, replacing, rolling, queue, asked, leases, session, home, size, backoff, failed, served,
           restart, intake, stage >>

Kinds == { "Failures", "Crashes", "Breaks", "Faults", "Limits", "Rolling", "Probes", "Cancels", "Drains", "Resizes",
           "GivingUp", "Stuck", "Shutdown" }

Serving  == {"Ready", "Busy"}
Draining == {"Lingering", "Finishing"}
Ending   == {"Stopping", "Terminated"}

ASSUME Kind == Happens \subseteq Kinds

--------------------------------------------------------------------------------
(******************************************************************************)
(* Definitions over the state.                                                *)
(******************************************************************************)

\* The pool's own leases: of a health check, and of a call that is being cancelled.
Monitor   == "monitor"
Canceller == "canceller"
Holders   == Clients \cup {Monitor, Canceller}

Count(S) == Cardinality(S)

In(phases)  == { w \in Workers : phase[w] \in phases }
Staff       == In({"Initializing", "Ready", "Busy"}) \ replacing
Occupied    == Workers \ In({"absent", "Terminated"})     \* Those that occupy a slot.
Abandoned   == { w \in Workers : phase[w] = "Terminated" /\ port[w] # "released" }

Waiting       == { queue[n] : n \in 1..Len(queue) }
Free          == { c \in Clients : asked[c] = "nothing" /\ \A l \in leases : l[1] # c }
Place(c)      == CHOOSE n \in 1..Len(queue) : queue[n] = c
Holding       == { l[1] : l \in leases } \cap Clients
HeldBy(h)     == { w \in Workers : << h, w >> \in leases }
Probed        == HeldBy(Monitor)
Cancelling    == HeldBy(Canceller)
Holds(c)      == \E w \in Workers : << c, w >> \in leases
IsHeld(w)     == \E l \in leases : l[2] = w

HasSession(w) == \E s \in Sessions : session[s] = "bound" /\ home[s] = w

\* No client waits for the session or holds a lease for it.
IsUnused(s) == \A c \in Clients : asked[c] # s

\* The only worker that can serve c; 0 when any can.
HomeOf(c) == IF asked[c] \in Sessions THEN home[asked[c]] ELSE 0

\* Nothing goes wrong with a worker that could not be replaced. This bounds the environment, not the
\* pool.
Bearable(w) == w \in Staff => Count(In({"absent"})) + Count(Staff) > size

--------------------------------------------------------------------------------
(******************************************************************************)
(* One worker.  React(w, i) is its complete reaction to input i, as in        *)
(* WorkerLifecycle.                                                           *)
(******************************************************************************)

Moves(w, i)  == Cell[phase[w]][i] \notin {Stale, Refused}
Target(w, i) == IF Moves(w, i) THEN Cell[phase[w]][i] ELSE phase[w]

RungAfter(w, i) == IF Target(w, i) # "Stopping" THEN "none"
                   ELSE IF ~Moves(w, i)         THEN rung[w]
                   ELSE IF i = "RungElapsed"    THEN NextRung[rung[w]]
                   ELSE                              EntryRung[i]

\* A worker that no longer serves is no longer to be replaced.
StaysIn(S, w, i) == { v \in S : v # w \/ Target(w, i) \in Serving }

React(w, i) == /\ phase'     = [phase EXCEPT ![w] = Target(w, i)]
               /\ rung'      = [rung EXCEPT ![w] = RungAfter(w, i)]
               /\ replacing' = StaysIn(replacing, w, i)
               /\ rolling'   = StaysIn(rolling, w, i)

PortBecomes(w, p) == port' = [port EXCEPT ![w] = p]

(******************************************************************************)
(* What a step leaves unchanged.                                              *)
(******************************************************************************)

PortsStay     == port' = port
ReplacingStay == replacing' = replacing /\ rolling' = rolling
WorkersStay   == phase' = phase /\ rung' = rung /\ port' = port /\ ReplacingStay
ClientsStay   == queue' = queue /\ asked' = asked /\ leases' = leases
SessionsStay  == session' = session /\ home' = home
RestartsStay  == backoff' = backoff /\ failed' = failed /\ restart' = restart
ServedStays   == served' = served
StateStays    == size' = size /\ intake' = intake /\ stage' = stage /\ ServedStays
PoolStays     == RestartsStay /\ StateStays

--------------------------------------------------------------------------------
(******************************************************************************)
(* Settling: the decisions of the pool.  Each action has a condition of its   *)
(* own, so that Settled can say that none is left.                            *)
(******************************************************************************)

\* A worker that is to be replaced retires once more workers serve than the pool must have.
ToSpare == Count(In(Serving)) > size

ReplacedRetires(w) == w \in replacing /\ ToSpare

RetireReplaced(w) == /\ ReplacedRetires(w)
                     /\ React(w, "Retire")
                     /\ PortsStay /\ ClientsStay /\ SessionsStay /\ PoolStays

\* After a shrink, or after a rolling restart stopped. Starting workers retire first, then idle
\* ones, then busy ones.
GoesFirst(w) == \/ phase[w] = "Initializing"
                \/ phase[w] = "Ready" /\ In({"Initializing"}) = {}
                \/ Staff \subseteq In({"Busy"})

SurplusRetires(w) == w \in Staff /\ Count(Staff) > size /\ GoesFirst(w)

RetireSurplus(w) == /\ SurplusRetires(w)
                    /\ React(w, "Retire")
                    /\ PortsStay /\ ClientsStay /\ SessionsStay /\ PoolStays

\* A drained worker is stopped: no client holds it, and no session is bound to it.
DrainIsOver(w) == phase[w] = "Lingering" /\ ~HasSession(w)

EndDrain(w) == /\ DrainIsOver(w)
               /\ React(w, "SessionsEnded")
               /\ PortsStay /\ ClientsStay /\ SessionsStay /\ PoolStays

\* Every client that waits for session s is refused.
RefuseWaitersOf(s) == /\ queue' = SelectSeq(queue, LAMBDA c : asked[c] # s)
                      /\ asked' = [c \in Clients |-> IF c \in Waiting /\ asked[c] = s THEN "nothing" ELSE asked[c]]
                      /\ leases' = leases

WaitedFor(s) == \E c \in Waiting : asked[c] = s

SessionBecomes(s, state) == session' = [session EXCEPT ![s] = state] /\ home' = [home EXCEPT ![s] = 0]

\* Clients that wait for a session's worker are told when it stops serving. If none waits, the next
\* to ask is told. Once its grace is over, a shutdown takes its worker from an idle session.
SessionIsLost(s) == session[s] = "bound" /\ (phase[home[s]] \in Ending \/ (stage = "Hurrying" /\ IsUnused(s)))

LoseSession(s) == /\ SessionIsLost(s)
                  /\ SessionBecomes(s, IF WaitedFor(s) THEN "closed" ELSE "lost")
                  /\ RefuseWaitersOf(s)
                  /\ WorkersStay /\ PoolStays

\* A ready worker serves any client without another home; a draining one serves its own sessions.
MayHave(c, w) == \/ phase[w] = "Ready"     /\ HomeOf(c) \in {0, w}
                 \/ phase[w] = "Lingering" /\ HomeOf(c) = w

\* Of the clients that w can serve, c has waited longest.
IsNext(c, w) == c \in Waiting /\ MayHave(c, w) /\ \A d \in Waiting : MayHave(d, w) => Place(c) <= Place(d)

Leave(c) == queue' = SelectSeq(queue, LAMBDA d : d # c)

\* The first lease of a session binds it.
Bind(c, w) == IF asked[c] \in Sessions
              THEN session' = [session EXCEPT ![asked[c]] = "bound"] /\ home' = [home EXCEPT ![asked[c]] = w]
              ELSE SessionsStay

Grant(c, w) == /\ IsNext(c, w)
               /\ React(w, "Checkout")
               /\ Leave(c)
               /\ leases' = leases \cup {<< c, w >>}
               /\ Bind(c, w)
               /\ asked' = asked /\ PortsStay /\ PoolStays

\* A worker is opened where one is missing, no backoff holds it back, and a slot is free.
MayStart == /\ stage = "Open"
            /\ Count(Staff) + backoff < size
            /\ Count(In({"Initializing"})) < MaxStarting
            /\ Count(Occupied) < size + Surge

IsOpenedNext(w) == phase[w] = "absent" /\ \A v \in In({"absent"}) : w <= v

Start(w) == /\ IsOpenedNext(w) /\ MayStart
            /\ phase' = [phase EXCEPT ![w] = "Initializing"]
            /\ PortBecomes(w, "opening")
            /\ rung' = rung /\ ReplacingStay
            /\ ClientsStay /\ SessionsStay /\ PoolStays

\* A backoff ends early when its vacancy is filled: a worker was kept after all, or the pool shrank.
BackoffIsIdle == backoff > 0 /\ Count(Staff) + backoff > size

CancelBackoff == /\ BackoffIsIdle
                 /\ backoff' = backoff - 1 /\ failed' = failed /\ restart' = restart
                 /\ WorkersStay /\ ClientsStay /\ SessionsStay /\ StateStays

\* A client that waits for its session's worker is answered by that worker. Other clients are
\* refused when none will come.
InCrashLoop == failed >= CrashLoop /\ In(Serving) = {}
Hopeless(c) == HomeOf(c) = 0 /\ (stage # "Open" \/ InCrashLoop)

Refuses(c) == Leave(c) /\ asked' = [asked EXCEPT ![c] = "nothing"] /\ leases' = leases

Refuse(c) == /\ c \in Waiting /\ Hopeless(c)
             /\ \A d \in Waiting : Hopeless(d) => Place(c) <= Place(d)
             /\ Refuses(c)
             /\ WorkersStay /\ SessionsStay /\ PoolStays

\* The queue is too long although no waiting client can be answered otherwise: the newest one is
\* refused.
AllMustWait  == \A c \in Waiting : ~Hopeless(c) /\ \A w \in Workers : ~MayHave(c, w)
IsTooMany(c) == Len(queue) > MaxWaiting /\ queue[Len(queue)] = c /\ AllMustWait

RefuseFull(c) == /\ IsTooMany(c)
                 /\ Refuses(c)
                 /\ WorkersStay /\ SessionsStay /\ PoolStays

\* A failed start ends a rolling restart: each chosen worker that still serves is kept.
IsKept(w) == restart = "failed" /\ w \in rolling \cap replacing

Keep(w) == /\ IsKept(w)
           /\ replacing' = replacing \ {w} /\ rolling' = rolling
           /\ phase' = phase /\ rung' = rung
           /\ PortsStay /\ ClientsStay /\ SessionsStay /\ PoolStays

\* A rolling restart ends when no chosen worker serves, or after a failed start, or with the pool.
RollingEnds == {"Completed", "StartFailed", "Closed"}

RollingIsOver(end) == \/ end = "Completed"   /\ restart = "rolling" /\ rolling = {}
                      \/ end = "StartFailed" /\ restart = "failed" /\ rolling \cap replacing = {}
                      \/ end = "Closed"      /\ restart = "closed"

ReportRolling(end) == /\ RollingIsOver(end)
                      /\ restart' = "idle" /\ rolling' = {}
                      /\ backoff' = backoff /\ failed' = failed
                      /\ phase' = phase /\ rung' = rung /\ replacing' = replacing
                      /\ PortsStay /\ ClientsStay /\ SessionsStay /\ StateStays

\* A drain of the pool ends when no client waits and no client's call is under way, or when the pool
\* is resumed first.
IsQuiet == queue = << >> /\ \A w \in Occupied, h \in Clients \cup {Canceller} : << h, w >> \notin leases

IsDrained == intake = "Draining" /\ IsQuiet

SetIntake(to) == /\ intake' = to
                 /\ size' = size /\ stage' = stage /\ ServedStays
                 /\ WorkersStay /\ ClientsStay /\ SessionsStay /\ RestartsStay

ReportDrained == IsDrained /\ SetIntake("Drained")
ReportResumed == intake = "Resumed" /\ SetIntake("Open")

SetStage(to) == /\ stage' = to
                /\ size' = size /\ intake' = intake /\ ServedStays
                /\ WorkersStay /\ ClientsStay /\ RestartsStay

\* A shutdown has drained when every worker that is left is being stopped.
ShutdownIsDrained == stage \in {"Draining", "Hurrying"} /\ In(Draining) = {}

ReportShutdownDrained == ShutdownIsDrained /\ SetStage("Stopping") /\ SessionsStay

\* The pool ends when no worker is left. The remaining sessions end with it.
IsOver == /\ stage = "Stopping" /\ Occupied = {} /\ queue = << >>
          /\ \A s \in Sessions : ~SessionIsLost(s)

Close == /\ IsOver /\ SetStage("Closed")
         /\ session' = [s \in Sessions |-> "closed"] /\ home' = [s \in Sessions |-> 0]

Settled == /\ ~\E w \in Workers : ReplacedRetires(w) \/ SurplusRetires(w) \/ DrainIsOver(w) \/ IsKept(w)
           /\ ~\E s \in Sessions : SessionIsLost(s)
           /\ AllMustWait
           /\ ~\E c \in Waiting : IsTooMany(c)
           /\ ~BackoffIsIdle
           /\ ~(MayStart /\ In({"absent"}) # {})
           /\ ~\E end \in RollingEnds : RollingIsOver(end)
           /\ ~IsDrained /\ intake # "Resumed"
           /\ ~ShutdownIsDrained
           /\ ~IsOver

--------------------------------------------------------------------------------
(******************************************************************************)
(* Inputs from ports and timers.                                              *)
(******************************************************************************)

\* A fact about w's port, after which the port is p.
Hear(w, i, p) == React(w, i) /\ PortBecomes(w, p)

Started(w) == /\ phase[w] = "Initializing"
              /\ Hear(w, "Started", "open")
              /\ failed' = 0 /\ backoff' = backoff /\ restart' = restart /\ served' = TRUE
              /\ size' = size /\ intake' = intake /\ stage' = stage
              /\ ClientsStay /\ SessionsStay

\* A failed start is counted, its vacancy backs off, and a rolling restart stops. A closing pool has
\* no vacancies.
FailsAs(count) == /\ failed'  = count
                  /\ backoff' = IF stage = "Open" THEN backoff + 1 ELSE backoff
                  /\ restart' = IF restart = "rolling" THEN "failed" ELSE restart
                  /\ ClientsStay /\ SessionsStay /\ StateStays

Fails == FailsAs(IF failed < CrashLoop THEN failed + 1 ELSE failed)

MayFail(w) == "Failures" \in Happens /\ phase[w] = "Initializing" /\ Bearable(w)

StartFailed(w)  == MayFail(w) /\ Hear(w, "StartFailed", "broken") /\ Fails
StartElapsed(w) == MayFail(w) /\ React(w, "StartElapsed") /\ PortsStay /\ Fails

\* A failure that no repetition mends, such as a module that does not exist. As long as no worker has
\* served, it counts as a crash loop; later it counts as any other.
StartFailedForGood(w) == ~served /\ MayFail(w) /\ Hear(w, "StartFailed", "broken") /\ FailsAs(CrashLoop)

ExitedAtStart(w) == MayFail(w) /\ Hear(w, "Exited", "exited") /\ Fails

\* A worker that exits while it serves has crashed. If its predecessor failed too, its vacancy backs
\* off.
Crashes(w, i, p) == /\ Bearable(w)
                    /\ phase[w] \in Serving \cup Draining
                    /\ Hear(w, i, p)
                    /\ backoff' \in IF w \in Staff THEN {backoff, backoff + 1} ELSE {backoff}
                    /\ failed' = failed /\ restart' = restart
                    /\ ClientsStay /\ SessionsStay /\ StateStays

Crashed(w) == "Crashes" \in Happens /\ Crashes(w, "Exited", "exited")

\* A worker that breaks the protocol between two calls has crashed too. Its lease, if any, stays
\* with its client.
Broke(w) == "Breaks" \in Happens /\ Crashes(w, "Fault", "broken")

\* The exit and the release of an abandoned port are late for its worker.
ExitedAtStop(w) == /\ phase[w] \in Ending /\ port[w] \notin {"exited", "released"}
                   /\ Hear(w, "Exited", "exited")
                   /\ ClientsStay /\ SessionsStay /\ PoolStays

Exited(w) == ExitedAtStart(w) \/ Crashed(w) \/ ExitedAtStop(w)

Released(w) == /\ rung[w] = "Reap" \/ phase[w] = "Terminated"
               /\ port[w] = "exited"
               /\ Hear(w, "Released", "released")
               /\ ClientsStay /\ SessionsStay /\ PoolStays

DrainElapsed(w) == /\ phase[w] \in Draining
                   /\ React(w, "DrainElapsed")
                   /\ PortsStay /\ ClientsStay /\ SessionsStay /\ PoolStays

\* The last rungs are repeated only while `size` ports are abandoned.
MayAbandon(w) == "Stuck" \in Happens /\ rung[w] \in LastRungs /\ Count(Abandoned) < size

RungElapsed(w) == /\ phase[w] = "Stopping" /\ ~MayAbandon(w)
                  /\ React(w, "RungElapsed")
                  /\ PortsStay /\ ClientsStay /\ SessionsStay /\ PoolStays

Abandon(w) == /\ MayAbandon(w)
              /\ React(w, "Abandoned")
              /\ PortsStay /\ ClientsStay /\ SessionsStay /\ PoolStays

\* The grace of idle sessions in a shutdown passes.
GraceElapsed == stage = "Draining" /\ SetStage("Hurrying") /\ SessionsStay

BackoffElapsed == /\ backoff > 0
                  /\ backoff' = backoff - 1 /\ failed' = failed /\ restart' = restart
                  /\ WorkersStay /\ ClientsStay /\ SessionsStay /\ StateStays

(******************************************************************************)
(* Inputs from clients.                                                       *)
(******************************************************************************)

IsFree(c) == asked[c] = "nothing" /\ ~Holds(c)

Joins(c, what) == /\ queue' = Append(queue, c)
                  /\ asked' = [asked EXCEPT ![c] = what]
                  /\ leases' = leases
                  /\ WorkersStay /\ SessionsStay /\ PoolStays

AcceptsNew == stage = "Open" /\ intake = "Open"

Checkout(c) == IsFree(c) /\ AcceptsNew /\ Joins(c, "any")

\* A client of a bound session is not new: it may come while the pool drains or shuts down.
CheckoutFor(c, s) == /\ IsFree(c)
                     /\ session[s] = "bound" \/ (session[s] = "unbound" /\ AcceptsNew)
                     /\ Joins(c, s)

\* A client of a lost session is told so, once.
TellLost(c, s) == /\ IsFree(c) /\ session[s] = "lost"
                  /\ SessionBecomes(s, "closed")
                  /\ WorkersStay /\ ClientsStay /\ PoolStays

GiveUp(c) == /\ "GivingUp" \in Happens /\ c \in Waiting
             /\ Refuses(c)
             /\ WorkersStay /\ SessionsStay /\ PoolStays

\* A lease ends clean or with a fault. A worker that was stopped meanwhile ignores which.
EndLease(h, w, i) == /\ << h, w >> \in leases
                     /\ React(w, i)
                     /\ leases' = leases \ {<< h, w >>}
                     /\ asked' = IF h \in Clients THEN [asked EXCEPT ![h] = "nothing"] ELSE asked
                     /\ queue' = queue
                     /\ PortsStay /\ SessionsStay /\ PoolStays

Checkin(c, w) == EndLease(c, w, "Checkin")
Fault(c, w)   == "Faults" \in Happens /\ Bearable(w) /\ EndLease(c, w, "Fault")

\* A client gives up a call that the worker can cancel: its lease becomes the pool's. The client is
\* free at once.
CancelBegins(c, w) == /\ "Cancels" \in Happens
                      /\ << c, w >> \in leases /\ phase[w] \notin Ending
                      /\ leases' = (leases \ {<< c, w >>}) \cup {<< Canceller, w >>}
                      /\ asked' = [asked EXCEPT ![c] = "nothing"]
                      /\ queue' = queue
                      /\ WorkersStay /\ SessionsStay /\ PoolStays

\* The worker ends the call in time, and serves on; or it does not, and is stopped.
CancelEnds(w)  == EndLease(Canceller, w, "Checkin")
CancelFails(w) == Bearable(w) /\ EndLease(Canceller, w, "Fault")

OpenSession(s) == /\ session[s] = "closed" /\ AcceptsNew
                  /\ Count({ t \in Sessions : session[t] # "closed" }) < MaxSessions
                  /\ \A c \in Clients : asked[c] # s
                  /\ SessionBecomes(s, "unbound")
                  /\ WorkersStay /\ ClientsStay /\ PoolStays

\* When a session is ended, its waiting clients are refused. A lease that is out stays out.
EndSession(s) == /\ session[s] # "closed"
                 /\ SessionBecomes(s, "closed")
                 /\ RefuseWaitersOf(s)
                 /\ WorkersStay /\ PoolStays

\* An idle session expires.
Expire(s) == (session[s] = "lost" \/ IsUnused(s)) /\ EndSession(s)

(******************************************************************************)
(* Inputs about limits and health.                                            *)
(******************************************************************************)

\* A worker has reached a limit, or the owner recycles it. The pool may notice a limit while it
\* settles.
Replace(w) == /\ "Limits" \in Happens /\ stage = "Open" /\ phase[w] \in Serving /\ w \notin replacing /\ Bearable(w)
              /\ replacing' = replacing \cup {w} /\ rolling' = rolling
              /\ phase' = phase /\ rung' = rung
              /\ PortsStay /\ ClientsStay /\ SessionsStay /\ PoolStays

\* A starting worker that the owner recycles retires at once: it serves no client.
RecycleStarting(w) == /\ "Limits" \in Happens /\ stage = "Open" /\ phase[w] = "Initializing" /\ Bearable(w)
                      /\ React(w, "Retire")
                      /\ PortsStay /\ ClientsStay /\ SessionsStay /\ PoolStays

\* A health check holds a lease.
ProbeBegins(w) == /\ "Probes" \in Happens /\ phase[w] = "Ready"
                  /\ React(w, "Checkout")
                  /\ leases' = leases \cup {<< Monitor, w >>}
                  /\ queue' = queue /\ asked' = asked
                  /\ PortsStay /\ SessionsStay /\ PoolStays

ProbeEnds(w)   == EndLease(Monitor, w, "Checkin")
ProbeMissed(w) == Bearable(w) /\ EndLease(Monitor, w, "Fault")

\* A worker that reports itself unhealthy too often retires with its answer: no client is granted it
\* in between.
ProbeUnhealthy(w) == /\ Bearable(w) /\ phase[w] = "Busy" /\ << Monitor, w >> \in leases
                     /\ phase' = [phase EXCEPT ![w] = Cell["Ready"]["Retire"]]
                     /\ replacing' = replacing \ {w} /\ rolling' = rolling \ {w}
                     /\ leases' = leases \ {<< Monitor, w >>}
                     /\ rung' = rung /\ queue' = queue /\ asked' = asked
                     /\ PortsStay /\ SessionsStay /\ PoolStays

(******************************************************************************)
(* Inputs from the owner of the pool.                                         *)
(******************************************************************************)

\* Requested again after its end was reported, a drain is reported again.
Drain == "Drains" \in Happens /\ intake # "Draining" /\ SetIntake("Draining")

\* The end of a drain that is still under way must be reported.
Resume == "Drains" \in Happens /\ intake # "Open" /\ SetIntake(IF intake = "Draining" THEN "Resumed" ELSE "Open")

Resize(n) == /\ "Resizes" \in Happens /\ Count(In({"absent"})) + Count(Staff) >= n
             /\ size' = n
             /\ intake' = intake /\ stage' = stage /\ ServedStays
             /\ WorkersStay /\ ClientsStay /\ SessionsStay /\ RestartsStay

\* A rolling restart chooses every serving worker that is not being replaced already. A closing pool
\* has none to choose.
Chosen == In(Serving) \ replacing

MayChoose == Chosen = {} \/ Count(In({"absent"})) + Count(Staff \ Chosen) >= size

RecycleAll == /\ "Rolling" \in Happens /\ restart = "idle" /\ MayChoose
              /\ restart' = IF stage = "Open" THEN "rolling" ELSE "closed"
              /\ replacing' = replacing \cup Chosen /\ rolling' = Chosen
              /\ phase' = phase /\ rung' = rung /\ backoff' = backoff /\ failed' = failed
              /\ PortsStay /\ ClientsStay /\ SessionsStay /\ StateStays

\* Every worker retires, whatever it does. Unbound sessions end, and so does a rolling restart.
ToRetire == Occupied

Shutdown == /\ "Shutdown" \in Happens /\ stage = "Open"
            /\ stage' = "Draining"
            /\ phase' = [w \in Workers |-> IF w \in ToRetire THEN Target(w, "Retire") ELSE phase[w]]
            /\ rung' = [w \in Workers |-> IF w \in ToRetire THEN RungAfter(w, "Retire") ELSE rung[w]]
            /\ replacing' = {} /\ rolling' = {}
            /\ session' = [s \in Sessions |-> IF session[s] = "unbound" THEN "closed" ELSE session[s]]
            /\ home' = home
            /\ backoff' = 0 /\ failed' = failed
            /\ restart' = IF restart = "rolling" THEN "closed" ELSE restart
            /\ size' = size /\ intake' = intake /\ ServedStays
            /\ PortsStay /\ ClientsStay

--------------------------------------------------------------------------------

Init == /\ phase = [w \in Workers |-> "absent"] /\ rung = [w \in Workers |-> "none"]
        /\ port = [w \in Workers |-> "none"] /\ replacing = {} /\ rolling = {}
        /\ queue = << >> /\ asked = [c \in Clients |-> "nothing"] /\ leases = {}
        /\ session = [s \in Sessions |-> "closed"] /\ home = [s \in Sessions |-> 0]
        /\ size = Size /\ backoff = 0 /\ failed = 0 /\ served = FALSE /\ restart = "idle"
        /\ intake = "Open" /\ stage = "Open"

Settle == \/ \E w \in replacing : RetireReplaced(w)
          \/ \E w \in Staff : RetireSurplus(w)
          \/ \E w \in In({"Lingering"}) : EndDrain(w)
          \/ \E s \in Sessions : LoseSession(s)
          \/ \E c \in Waiting, w \in Workers : Grant(c, w)
          \/ CancelBackoff
          \/ \E w \in Workers : Start(w)
          \/ \E c \in Waiting : Refuse(c)
          \/ \E c \in Waiting : RefuseFull(c)
          \/ \E w \in rolling : Keep(w)
          \/ \E end \in RollingEnds : ReportRolling(end)
          \/ ReportDrained
          \/ ReportResumed
          \/ ReportShutdownDrained
          \/ Close

Notice == \E w \in In(Serving) : Replace(w)

Input == \/ \E w \in In({"Initializing"}) : Started(w)
         \/ \E w \in In({"Initializing"}) : StartFailed(w)
         \/ \E w \in In({"Initializing"}) : StartFailedForGood(w)
         \/ \E w \in In({"Initializing"}) : StartElapsed(w)
         \/ \E w \in Occupied \cup Abandoned : Exited(w)
         \/ \E w \in Occupied : Broke(w)
         \/ \E w \in In(Ending) : Released(w)
         \/ \E w \in In(Draining) : DrainElapsed(w)
         \/ \E w \in In({"Stopping"}) : RungElapsed(w)
         \/ \E w \in In({"Stopping"}) : Abandon(w)
         \/ GraceElapsed
         \/ BackoffElapsed
         \/ \E c \in Free : Checkout(c)
         \/ \E c \in Clients, s \in Sessions : CheckoutFor(c, s)
         \/ \E c \in Clients, s \in Sessions : TellLost(c, s)
         \/ \E c \in Waiting : GiveUp(c)
         \/ \E c \in Holding, w \in Workers : Checkin(c, w)
         \/ \E c \in Holding, w \in Workers : Fault(c, w)
         \/ \E c \in Holding, w \in Workers : CancelBegins(c, w)
         \/ \E w \in Cancelling : CancelEnds(w)
         \/ \E w \in Cancelling : CancelFails(w)
         \/ \E s \in Sessions : OpenSession(s)
         \/ \E s \in Sessions : EndSession(s)
         \/ \E s \in Sessions : Expire(s)
         \/ \E w \in In({"Initializing"}) : RecycleStarting(w)
         \/ \E w \in In({"Ready"}) : ProbeBegins(w)
         \/ \E w \in Probed : ProbeEnds(w)
         \/ \E w \in Probed : ProbeMissed(w)
         \/ \E w \in Probed : ProbeUnhealthy(w)
         \/ Drain
         \/ Resume
         \/ \E n \in Sizes : Resize(n)
         \/ RecycleAll
         \/ Shutdown

Next == Settle \/ Notice \/ (Settled /\ Input)

(******************************************************************************)
(* The assumptions of liveness:                                               *)
(*                                                                            *)
(*   - the supervisor settles after each input;                               *)
(*   - a running deadline passes, and a backoff elapses;                      *)
(*   - SIGKILL ends a process, and the driver releases a port when ordered,   *)
(*     except for as many ports as the pool may abandon (Stuck);              *)
(*   - calls have a timeout: every lease ends, and so does every health       *)
(*     check and every cancellation.                                          *)
(*                                                                            *)
(* Nothing is assumed of starts, of a worker's obedience, of clients that     *)
(* wait, or of sessions.                                                      *)
(*                                                                            *)
(* The inputs below do not wait for the pool to be Settled: they are facts    *)
(* of the environment, and what can happen for ever does happen.  Most of     *)
(* them happen once to a worker, of which there are finitely many, so one     *)
(* condition covers them all.                                                 *)
(******************************************************************************)

StartEnds(w) == Started(w) \/ StartFailed(w) \/ StartFailedForGood(w) \/ StartElapsed(w) \/ ExitedAtStart(w)
KillEnds(w)  == (rung[w] = "Kill" \/ w \in Abandoned) /\ ExitedAtStop(w)
NextRungIsTaken(w) == rung[w] \in {"Ask", "Term"} /\ RungElapsed(w)

\* Workers whose ports may never be released.
Stuck == IF "Stuck" \in Happens THEN { w \in Workers : w <= Size } ELSE {}

TimePasses == \/ BackoffElapsed \/ GraceElapsed
              \/ \E w \in Workers : \/ StartEnds(w) \/ DrainElapsed(w) \/ NextRungIsTaken(w) \/ Abandon(w)
                                    \/ w \notin Stuck /\ (KillEnds(w) \/ Released(w))

CallEnds(c)     == \E w \in Workers : Checkin(c, w) \/ Fault(c, w) \/ CancelBegins(c, w)
ProbeIsOver(w)  == ProbeEnds(w) \/ ProbeMissed(w) \/ ProbeUnhealthy(w)
CancelIsOver(w) == CancelEnds(w) \/ CancelFails(w)

Fairness == /\ WF_vars(Settle)
            /\ WF_vars(TimePasses)
            /\ \A c \in Clients : WF_vars(CallEnds(c))
            /\ \A w \in Workers : WF_vars(ProbeIsOver(w))
            /\ \A w \in Workers : WF_vars(CancelIsOver(w))

Spec == Init /\ [][Next]_vars /\ Fairness

\* Without Fairness, for slices in which no liveness is claimed: it is checked in half the time.
SafetySpec == Init /\ [][Next]_vars

--------------------------------------------------------------------------------
\* The properties count ports, which belong to the environment, and not slots, which are the pool's
\* view of them.
Ports   == { w \in Workers : port[w] \notin {"none", "released"} }
Held    == Ports \ Abandoned
Largest == CHOOSE n \in Sizes \cup {Size} : \A m \in Sizes \cup {Size} : m <= n

\* Steps, by what they do to w. A starting worker that is retired did not fail.
StartsToServe(w) == phase[w] = "Initializing" /\ phase'[w] = "Ready"
FailsToStart(w)  == phase[w] = "Initializing" /\ phase'[w] = "Stopping" /\ rung'[w] # "Ask"
BeginsToStop(w)  == phase[w] # "Stopping" /\ phase'[w] = "Stopping"

(******************************************************************************)
(* Safety: in every state.                                                    *)
(******************************************************************************)

TypeOK == /\ phase \in [Workers -> Phases \cup {"absent"}]
          /\ \A w \in Workers : rung[w] \in (IF phase[w] = "Stopping" THEN RungSet ELSE {"none"})
          /\ port \in [Workers -> {"none", "opening", "open", "broken", "exited", "released"}]
          /\ replacing \subseteq In(Serving)
          /\ rolling \subseteq In(Serving) /\ (restart = "rolling" => rolling \subseteq replacing)
          /\ restart \in {"idle", "closed"} => rolling = {}
          /\ Waiting \subseteq Clients
          /\ asked \in [Clients -> Sessions \cup {"any", "nothing"}]
          /\ leases \subseteq Holders \X Workers
          /\ session \in [Sessions -> {"closed", "unbound", "bound", "lost"}]
          /\ \A s \in Sessions : home[s] \in (IF session[s] = "bound" THEN Workers ELSE {0})
          /\ size \in Sizes \cup {Size}
          /\ backoff \in 0..Count(Workers) /\ failed \in 0..CrashLoop
          /\ served \in BOOLEAN /\ (In(Serving) # {} => served)
          /\ restart \in {"idle", "rolling", "failed", "closed"}
          /\ intake \in {"Open", "Draining", "Drained", "Resumed"}
          /\ stage \in {"Open", "Draining", "Hurrying", "Stopping", "Closed"}

\* The pool feeds a worker no input that the table refuses, and neither does the environment.
NeverRefused == \A w \in Workers :
    /\ phase[w] \notin {"absent", "Terminated"} => Cell[phase[w]]["Retire"] # Refused
    /\ IsHeld(w) => Cell[phase[w]]["Checkin"] # Refused /\ Cell[phase[w]]["Fault"] # Refused

\* A worker is terminated once its port is released.
ReleasedIsTerminated == \A w \in Workers : port[w] = "released" => phase[w] = "Terminated"

\* A worker has at most one lease, the pool's own leases included, and so has a client.
AtMostOneLease == /\ \A l, m \in leases : l[2] = m[2] => l = m
                  /\ \A l, m \in leases : l[1] = m[1] /\ l[1] \in Clients => l = m

LeaseMatchesPhase == \A w \in Workers : /\ phase[w] \in {"Busy", "Finishing"} => IsHeld(w)
                                        /\ phase[w] \in {"Initializing", "Ready", "Lingering"} => ~IsHeld(w)

\* A waiting client has no answer yet, and waits once.
WaitsOnce == /\ \A c \in Waiting : asked[c] # "nothing" /\ ~Holds(c)
             /\ \A m, n \in 1..Len(queue) : queue[m] = queue[n] => m = n

\* What a client has asked for is remembered as long as it waits or holds a lease, and no longer.
AskedIsPending == \A c \in Clients : /\ asked[c] # "nothing" => c \in Waiting \/ Holds(c)
                                     /\ Holds(c) => asked[c] # "nothing"

\* A lease for a bound session is on its worker.
SessionLeasesAreAtHome ==
    \A l \in leases : (l[1] \in Clients /\ asked[l[1]] \in Sessions /\ session[asked[l[1]]] = "bound")
                        => home[asked[l[1]]] = l[2]

\* A slot is reused only after its port is released or abandoned.
NeverTooManyPorts == Count(Held) <= Largest + Surge

StartsAreBounded == Count(In({"Initializing"})) <= MaxStarting

QueueIsBounded == Settled => Len(queue) <= MaxWaiting

SessionsAreBounded == Count({ s \in Sessions : session[s] # "closed" }) <= MaxSessions

\* Once the pool has settled, no client waits while a worker that can serve it is idle.
NoClientWaitsBesideIdle ==
    Settled => \A c \in Waiting, w \in Workers :
        /\ ~(phase[w] = "Ready" /\ HomeOf(c) \in {0, w})
        /\ ~(phase[w] = "Lingering" /\ HomeOf(c) = w)

\* Once the pool has settled, at most `size` workers serve or start, besides those that are being
\* replaced.
NoSurplus == Settled => Count(Staff) <= size

\* Once the pool has settled, only a backoff, the bound of starts or the lack of a slot keeps a
\* vacancy open.
VacanciesAreFilled ==
    Settled /\ stage = "Open" /\ In({"absent"}) # {} => \/ Count(Staff) + backoff >= size
                                                        \/ Count(In({"Initializing"})) >= MaxStarting
                                                        \/ Count(Occupied) >= size + Surge

\* Once the pool has settled, it can spare no worker that is to be replaced.
SparedHaveRetired == Settled /\ replacing # {} => Count(In(Serving)) <= size

\* Once the pool has settled, no client waits for a worker that will not come.
NoClientWaitsInCrashLoop ==
    Settled /\ failed = CrashLoop /\ In(Serving) = {} => \A c \in Waiting : HomeOf(c) # 0

\* Once the pool has settled, each bound session has a worker that can serve it, and clients wait
\* only for open sessions.
SessionsHaveAWorker ==
    Settled => /\ \A s \in Sessions : session[s] = "bound" => phase[home[s]] \in Serving \cup Draining
               /\ \A c \in Waiting, s \in Sessions : asked[c] = s => session[s] \in {"unbound", "bound"}

\* Once the pool has settled, a drain is under way only while a client waits or its call is under
\* way.
QuietIsDrained ==
    Settled /\ intake = "Draining" => \/ queue # << >>
                                      \/ \E l \in leases : l[1] # Monitor /\ phase[l[2]] # "Terminated"

\* A drained pool serves nothing but bound sessions.
DrainedServesOnlySessions ==
    intake = "Drained" => \A c \in Clients : asked[c] = "any" =>
        c \notin Waiting /\ \A w \in HeldBy(c) : phase[w] = "Terminated"

\* A closing pool plans no start and no replacement, and no session waits for its first worker.
ClosingPlansNothing == stage # "Open" => /\ backoff = 0 /\ replacing = {} /\ restart \in {"idle", "closed"}
                                         /\ \A s \in Sessions : session[s] # "unbound"

\* Once the pool has settled, only clients of bound sessions wait while it closes.
ClosingRefusesWaiters == Settled /\ stage # "Open" => \A c \in Waiting : HomeOf(c) # 0

\* Once the pool has settled, a shutdown that was not reported as drained waits for a draining
\* worker.
ShutdownWaitsForDraining == Settled /\ stage \in {"Draining", "Hurrying"} => In(Draining) # {}

\* A closing pool has retired every worker; a closed pool has none.
ShutdownRetiresAll == stage # "Open" => In({"Initializing", "Ready", "Busy"}) = {}
ClosedIsEmpty == stage = "Closed" => /\ Held = {} /\ queue = << >>
                                     /\ \A s \in Sessions : session[s] = "closed"

\* After a shutdown was reported as drained, no worker drains.
ShutdownDrainsBeforeStopping == stage \in {"Stopping", "Closed"} => In(Draining) = {}

\* Only a session keeps a worker lingering.
DrainsEndWithSessions ==
    Settled => \A w \in In({"Lingering"}) : \E s \in Sessions : session[s] = "bound" /\ home[s] = w

\* The last rungs are repeated only while as many ports are abandoned as may be. With ENABLED,
\* because a repeated rung changes nothing, and [][A]_vars ignores such a step.
LastRungsAreRepeatedAtTheBound ==
    \A w \in Workers : "Stuck" \in Happens /\ rung[w] \in LastRungs /\ Count(Abandoned) < size
        => ~ENABLED RungElapsed(w)

\* Once its grace is over, a shutdown waits only for calls.
IdleSessionsHoldNoShutdown == Settled /\ stage = "Hurrying" => In({"Lingering"}) = {}

(******************************************************************************)
(* Safety: in every step.                                                     *)
(******************************************************************************)

DrainingNeverServesAgain == [][\A w \in Workers : (phase[w] \in Draining) => phase'[w] \notin Serving]_vars

TerminatedIsFinal == [][\A w \in Workers : phase[w] = "Terminated" => phase'[w] = "Terminated"]_vars

\* A worker is terminated when its port is released, or when it is abandoned after SIGKILL.
TerminatedIsReleased ==
    [][\A w \in Workers : (phase[w] # "Terminated" /\ phase'[w] = "Terminated") =>
        port'[w] = "released" \/ rung[w] \in {"Kill", "Reap"}]_vars

\* At most `size` ports are abandoned at a time. After a shrink there may be more.
AbandonedAreBounded == [][(~(Abandoned' \subseteq Abandoned)) => Count(Abandoned') <= size]_vars

\* A port is opened by Start alone, exits once, and is released after that.
PortsFollow == [][\A w \in Workers : port'[w] # port[w] => << port[w], port'[w] >> \in
    { << "none", "opening" >>, << "opening", "open" >>, << "opening", "broken" >>, << "open", "broken" >>,
      << "opening", "exited" >>, << "open", "exited" >>, << "broken", "exited" >>, << "exited", "released" >> }]_vars

\* A stop begins with the shutdown frame; with SIGTERM if the worker failed; and on the last rung if
\* it has exited. If the same step ends the worker's lease, that lease ended with a fault.
StopsBeginAtTheirRung ==
    [][\A w \in Workers : BeginsToStop(w) =>
        rung'[w] = IF port'[w] = "exited" THEN "Reap"
                   ELSE IF port'[w] = "broken" \/ StartElapsed(w) \/ \E l \in leases \ leases' : l[2] = w THEN "Term"
                   ELSE "Ask"]_vars

\* A port is opened only into a free slot. After a shrink there may be more ports than slots.
PortsHaveSlots == [][(~(Ports' \subseteq Ports)) => Count(Held') <= size + Surge]_vars

\* A port is opened only for a vacancy that no backoff holds back.
StartsFillVacancies == [][(~(Ports' \subseteq Ports)) => stage = "Open" /\ Count(Staff) + backoff < size]_vars

\* A lease is granted on a ready worker, or on a lingering one to a client of its own sessions. The
\* pool takes one over only while its worker can be told to cancel the call.
GrantsAreEarned ==
    [][\A l \in leases' \ leases : \/ phase[l[2]] = "Ready"
                                   \/ phase[l[2]] = "Lingering" /\ l[1] \in Clients /\ HomeOf(l[1]) = l[2]
                                   \/ l[1] = Canceller /\ IsHeld(l[2]) /\ phase[l[2]] \in {"Busy", "Finishing"}]_vars

\* A client leaves the queue only with a lease, with a refusal, or because it gave up.
EveryClientIsAnswered ==
    [][\A c \in Waiting : c \notin Waiting' =>
        \/ \E w \in Workers : << c, w >> \in leases' \ leases
        \/ Refuse(c) \/ RefuseFull(c) \/ GiveUp(c)
        \/ \E s \in Sessions : asked[c] = s /\ (LoseSession(s) \/ (Settled /\ EndSession(s)))]_vars

\* A client is refused only if no worker will come for it or for any client before it, or if the
\* queue is too long and it is the newest.
OnlyTheHopelessAreRefused ==
    [][\A c \in Waiting :
        /\ Refuse(c) => /\ HomeOf(c) = 0 /\ (stage # "Open" \/ (failed = CrashLoop /\ In(Serving) = {}))
                        /\ \A n \in 1..(Place(c) - 1) : HomeOf(queue[n]) # 0
        /\ RefuseFull(c) => Len(queue) > MaxWaiting /\ queue[Len(queue)] = c]_vars

\* A client joins at the end of the queue, and the order of the others stays.
ClientsJoinAtTheEnd ==
    [][\/ \E c \in Clients \ Waiting : queue' = Append(queue, c)
       \/ Waiting' \subseteq Waiting /\ queue' = SelectSeq(queue, LAMBDA c : c \in Waiting')]_vars

\* FIFO: the worker could have served no client that has waited longer.
FirstComeFirstServed ==
    [][\A l \in leases' \ leases : l[1] \in Clients =>
        \A n \in 1..(Place(l[1]) - 1) : ~(\/ HomeOf(queue[n]) = l[2]
                                          \/ HomeOf(queue[n]) = 0 /\ phase[l[2]] = "Ready")]_vars

\* A draining pool accepts no new client, and a drain refuses no waiting one.
DrainAcceptsNoNewClient == [][intake # "Open" => \A c \in Waiting' \ Waiting : HomeOf(c)' # 0]_vars
DrainRefusesNoWaiter == [][intake' # intake => queue' = queue]_vars

\* A drain stops no worker and ends no lease and no session.
DrainStopsNothing == [][intake' # intake => phase' = phase /\ leases' = leases /\ session' = session]_vars

\* A closing pool accepts no new client.
ClosingAcceptsNoNewClient == [][stage # "Open" => \A c \in Waiting' \ Waiting : HomeOf(c)' # 0]_vars

\* A shutdown lets calls and bound sessions end: it retires each serving worker.
ShutdownStopsNoCall ==
    [][(stage = "Open" /\ stage' # "Open") =>
        /\ leases' = leases
        /\ \A w \in In(Serving) : phase'[w] \in Draining
        /\ \A s \in Sessions : session[s] = "bound" => session'[s] = "bound"]_vars

\* A drain is reported as drained only when no client waits and no client's call is under way,
\* cancelled ones included.
DrainedIsQuiet == [][(intake = "Draining" /\ intake' = "Drained") =>
    queue = << >> /\ \A l \in leases : l[1] = Monitor \/ phase[l[2]] = "Terminated"]_vars

\* Each drain is reported once: as drained, or as resumed.
EveryDrainIsReported == [][(intake' # intake) => << intake, intake' >> \in
    { << "Open", "Draining" >>, << "Draining", "Drained" >>, << "Drained", "Draining" >>, << "Drained", "Open" >>,
      << "Draining", "Resumed" >>, << "Resumed", "Open" >> }]_vars

\* A worker that is being replaced retires only while enough others serve.
ReplacingKeepsTheSize ==
    [][\A w \in replacing : (phase'[w] \in Draining /\ stage' = "Open" /\ ~ProbeUnhealthy(w))
        => Count(In(Serving)') >= size]_vars

\* The pool stops no lingering worker whose session is open: only deadlines, failures and a
\* shutdown's grace do, which are no decisions.
DrainsLetSessionsEnd ==
    [][\A w \in In({"Lingering"}) : phase'[w] = "Stopping" =>
        Settled \/ \A s \in Sessions : session[s] = "bound" => home[s] # w]_vars

\* A worker that is not being replaced retires only as surplus, because it is unhealthy, or, while
\* it starts, because the owner recycles it.
OnlySurplusRetires ==
    [][\A w \in Staff :
        (phase'[w] \in Draining \/ (phase[w] = "Initializing" /\ rung'[w] = "Ask")) /\ stage' = "Open"
            => Count(Staff) > size \/ ProbeUnhealthy(w) \/ RecycleStarting(w)]_vars

\* Of the surplus workers, starting ones retire first, then idle ones, then busy ones.
BusyRetireLast ==
    [][\A w \in Staff : RetireSurplus(w) =>
        \A v \in Staff : /\ phase[v] = "Initializing" => phase[w] = "Initializing"
                         /\ phase[v] = "Ready"        => phase[w] # "Busy"]_vars

\* A worker serves no client again after its lease ended with a fault, or after it broke the
\* protocol between two calls.
FaultedNeverServes ==
    [][\A c \in Clients \cup {Monitor}, w \in Workers : Fault(c, w) \/ Broke(w) => phase'[w] \in Ending]_vars

\* A worker that reports itself unhealthy too often retires.
UnhealthyRetires == [][\A w \in Workers : ProbeUnhealthy(w) => phase'[w] \in Draining]_vars

\* A worker that does not end a cancelled call in time serves no client again.
FailedCancelStopsWorker == [][\A w \in Workers : CancelFails(w) => phase'[w] \in Ending]_vars

\* A session is bound by its first lease, on a ready worker: a draining worker gets no new session.
NewSessionsGetReadyWorkers ==
    [][\A s \in Sessions : (session[s] # "bound" /\ session'[s] = "bound") =>
        /\ session[s] = "unbound" /\ phase[home'[s]] = "Ready"
        /\ \E c \in Clients : asked[c] = s /\ << c, home'[s] >> \in leases' \ leases]_vars

\* A draining or closing pool opens no session.
SessionsOpenInAnOpenPool ==
    [][\A s \in Sessions : (session[s] = "closed" /\ session'[s] # "closed") =>
        session'[s] = "unbound" /\ stage = "Open" /\ intake = "Open"]_vars

\* A session does not expire while a client waits for it or holds a lease for it.
SessionsInUseDoNotExpire ==
    [][\A s \in Sessions : Expire(s) => session[s] = "lost" \/ \A c \in Clients : asked[c] # s]_vars

\* A session never moves from one worker to another.
SessionsNeverMove ==
    [][\A s \in Sessions : /\ session[s] = "bound" => session'[s] \in {"lost", "closed"} \/ home'[s] = home[s]
                           /\ session[s] = "lost"  => session'[s] \in {"lost", "closed"}]_vars

\* A lease for a session is on the session's worker.
SessionsKeepToTheirWorker ==
    [][\A l \in leases' \ leases : (l[1] \in Clients /\ asked[l[1]] \in Sessions) => home'[asked[l[1]]] = l[2]]_vars

\* A lost session ends when a client is told, when its client ends it, or with the pool.
LostSessionsAreReported ==
    [][\A s \in Sessions : (session[s] \in {"bound", "lost"} /\ session'[s] = "closed") =>
        \/ (Settled /\ EndSession(s)) \/ Close
        \/ \E c \in Clients : IF session[s] = "lost" THEN TellLost(c, s) ELSE c \in Waiting /\ asked[c] = s]_vars

\* A loss is reported once: to the clients that wait, or to the next one.
LossesAreReportedOnce ==
    [][\A s \in Sessions : (session[s] = "bound" /\ session'[s] = "lost") => \A c \in Waiting : asked[c] # s]_vars

\* A session is lost with its worker. A shutdown takes the worker only from a session that is not
\* used, and only once its grace is over.
UsedSessionsAreServed ==
    [][\A s \in Sessions : LoseSession(s) =>
        phase[home[s]] \in Ending \/ (stage = "Hurrying" /\ \A c \in Clients : asked[c] # s)]_vars

\* A vacancy backs off only because its worker failed to start or crashed. A worker that was being
\* replaced leaves no vacancy.
OnlyFailuresBackOff ==
    [][backoff' > backoff => /\ backoff' = backoff + 1
                             /\ \E w \in Staff : \/ FailsToStart(w)
                                                 \/ BeginsToStop(w) /\ port'[w] # port[w]]_vars

\* A failed start is always followed by a backoff, unless the pool closes.
FailedStartsBackOff ==
    [][\A w \in Workers : FailsToStart(w) /\ stage = "Open" => backoff' = backoff + 1]_vars

\* Backoffs end one by one: when they elapse, or when no vacancy is left. A shutdown ends all of
\* them.
BackoffsEndInOrder ==
    [][backoff' < backoff =>
        \/ backoff' = backoff - 1 /\ phase' = phase /\ (Settled \/ Count(Staff) + backoff > size)
        \/ stage = "Open" /\ stage' # "Open"]_vars

\* A backoff delays a worker that is missing.
BackoffsHaveVacancies == [][BackoffElapsed /\ Settled /\ stage = "Open" => Count(Staff) + backoff <= size]_vars

\* Before a worker has served, a failure that no repetition mends is a crash loop at once. Later, the
\* pool knows that its workers can start, and counts failures one by one.
FinalFailureIsACrashLoop == [][\A w \in Workers : StartFailedForGood(w) => InCrashLoop']_vars
ServedFailuresAreCounted == [][served => failed' \in {0, failed, failed + 1}]_vars

\* Each failed start is counted, up to the bound. A start that succeeds resets the count, and
\* nothing else changes it.
FailedStartsAreCounted ==
    [][\A w \in Workers : FailsToStart(w) =>
        failed' = (IF failed < CrashLoop THEN failed + 1 ELSE CrashLoop) \/ StartFailedForGood(w)]_vars
StartsResetTheCount ==
    [][/\ \A w \in Workers : StartsToServe(w) => failed' = 0 /\ served'
       /\ (failed' # failed \/ served' # served) => \E w \in Workers : StartsToServe(w) \/ FailsToStart(w)]_vars

\* A worker is marked to be replaced at a limit or by a rolling restart. It loses its mark when it
\* leaves, or when a failed start stops the rolling restart that gave it the mark.
MarksAreGiven == [][\A w \in replacing' \ replacing : Replace(w) \/ RecycleAll]_vars
OnlyRollingMarksAreTakenBack ==
    [][\A w \in replacing \ replacing' : phase'[w] \notin Serving \/ (restart = "failed" /\ w \in rolling)]_vars

\* A rolling restart chooses every worker that serves when it begins and is not being replaced
\* already, and follows each as long as it serves.
RollingChoosesAll ==
    [][(restart = "idle" /\ restart' = "rolling") =>
        In(Serving) \subseteq replacing' /\ rolling' = In(Serving) \ replacing]_vars
RollingFollowsAll == [][\A w \in rolling \ rolling' : phase'[w] \notin Serving \/ restart' = "idle"]_vars

\* A rolling restart is completed only if no chosen worker serves, so none was kept.
CompletedKeepsNone == [][(restart = "rolling" /\ restart' = "idle") => rolling = {}]_vars

\* A failed start stops a rolling restart.
FailedStartStopsRolling ==
    [][(restart = "rolling" /\ failed' > failed) => restart' = "failed"]_vars

\* A rolling restart that a failed start stopped keeps at least one worker, and no kept worker is
\* replaced.
StoppedRollingKeeps == [][(restart = "failed" /\ restart' = "idle") => rolling # {} /\ rolling \cap replacing' = {}]_vars

\* A shutdown drains, then stops, then closes, and reports each.
StagesFollow == [][stage' # stage => << stage, stage' >> \in
    { << "Open", "Draining" >>, << "Draining", "Hurrying" >>, << "Draining", "Stopping" >>,
      << "Hurrying", "Stopping" >>, << "Stopping", "Closed" >> }]_vars

(******************************************************************************)
(* Liveness.                                                                  *)
(******************************************************************************)

EveryStartEnds == \A w \in Workers : phase[w] = "Initializing" ~> phase[w] \in {"Ready", "Terminated"}
EveryDrainEnds == \A w \in Workers : phase[w] \in Draining     ~> phase[w] = "Terminated"
EveryStopEnds  == \A w \in Workers : phase[w] = "Stopping"     ~> phase[w] = "Terminated"

\* The host goes on releasing an abandoned port.
AbandonedAreReleased == \A w \in Workers \ Stuck : w \in Abandoned ~> port[w] = "released"

EveryWaitEnds   == \A c \in Clients : c \in Waiting ~> c \notin Waiting
EveryCancelEnds == \A w \in Workers : w \in Cancelling ~> w \notin Cancelling

\* Failures are finitely many here. A pool without further failures comes back to its size.
TheSizeIsRestored == []<>(stage = "Open" => Count(In(Serving)) >= size)

\* After a shrink, the surplus ports are released.
SurplusIsReleased == Count(Held) > size + Surge ~> Count(Held) <= size + Surge

EveryRollingEnds == restart # "idle" ~> restart = "idle"

ShutdownDrains == stage \in {"Draining", "Hurrying"} ~> stage \in {"Stopping", "Closed"}
ShutdownEnds   == stage = "Stopping" ~> stage = "Closed"

\* A drain ends, unless clients of bound sessions keep coming.
DrainsEnd == []<>(intake = "Draining" => \E s \in Sessions : session[s] = "bound")
================================================================================
