------------------------------- MODULE WorkerPool -------------------------------
(*******************************************************************************)
(* A pool of workers, and everybody who wants something of it.                 *)
(*                                                                             *)
(* The pool is the supervisor in src/supervisor.  Something happens to it (an  *)
(* input); then it settles, which is to say that it draws consequences until   *)
(* none is left; only then does the next input reach it.  Here each of both is *)
(* one action, and what is needed for an input is that the pool is Settled.    *)
(*                                                                             *)
(*   - Workers live by WorkerTable.  Each has a port, at most one lease, and   *)
(*     perhaps a mark: it is to be replaced, and serves until it has been.     *)
(*   - Clients wait in one queue, for any worker or for that of their session, *)
(*     and hold leases, which they give back when and how they like, also when *)
(*     the worker was stopped under them long ago.                             *)
(*   - Sessions keep to one worker from their first lease on, or are lost.     *)
(*   - The pool may be resized, paused and shut down.                          *)
(*                                                                             *)
(* What is left out, and why nothing is hidden by that:                        *)
(*                                                                             *)
(*   - Time.  A deadline that runs may pass in any state.                      *)
(*   - How long a port's facts take.  A fact is told when it happens.  Whoever *)
(*     is told later has handled other inputs before it, as if it had happened *)
(*     later.  And who learns late that a port is released frees it late.      *)
(*   - Inputs that come too late for a worker.  They change nothing (the table *)
(*     says so), so they are no steps.  Leases are given back late, though.    *)
(*   - Counts: of exchanges, errors, bytes, missed probes, seconds.  Whatever  *)
(*     a count may bring about may happen here at any moment.  So a worker     *)
(*     that crashes may be held back or not: the pool counts its crashes.      *)
(*   - Which of several ready workers is leased, and which of several marks a  *)
(*     failed start takes back.  Any, or any set.                              *)
(*   - Workers are incarnations: a replacement is another worker, and nobody   *)
(*     is opened twice.  As there are only so many of them, nothing goes wrong *)
(*     any more when the last ones are needed (Bearable).  With more workers   *)
(*     more goes wrong; a step of the code is compared without that bound.     *)
(*   - Clients and sessions come again under the same name, once everything    *)
(*     that they had is over.  In the code each has a name of its own.         *)
(*******************************************************************************)
EXTENDS WorkerTable

CONSTANTS           \* The tables are bound as in WorkerLifecycle.
    Cell,           \* Cell[p][i]: what a worker makes of input i in phase p
    EntryRung,      \* EntryRung[i]: the rung that a worker takes when i sends it to Stopping
    NextRung,       \* NextRung[r]: the rung after r
    \* The policy:
    Size,           \* how many workers serve
    Surge,          \* how many more ports there may be
    MaxStarting,    \* how many workers may start at once
    MaxWaiting,     \* how many clients may wait
    MaxSessions,    \* how many sessions may be open
    CrashLoop,      \* how many starts must fail in a row for the pool to give up on its waiters
    \* The world:
    Workers,        \* the workers that there can ever be: 1..n
    Clients,        \* who may want a worker
    Sessions,       \* what may keep a client to one worker
    Sizes,          \* the sizes that the pool may be given
    Happens         \* which doings of the world this configuration looks at: a subset of Doings

VARIABLES
    \* Workers:
    phase,          \* where each is in its life, or "absent" before it
    rung,           \* the rung of the ladder that it stands on while Stopping, else "none"
    port,           \* "none", "opening", "open", "broken", "exited", "released"
    marked,         \* those that serve until they are replaced
    \* Clients:
    queue,          \* those who wait, the first to come at the head
    asked,          \* what each wants, until it is refused or has given its lease back: "any" or a session; else "nothing"
    leases,         \* the leases that are out: pairs of a holder and a worker
    \* Sessions:
    session,        \* "closed", "unbound", "bound", or "lost": its worker is gone, and nobody has been told
    home,           \* the worker that a bound session is bound to, else 0
    \* The pool:
    size,           \* how many workers are to serve now
    cooling,        \* how many positions are held back for a while, because workers failed there
    failed,         \* failed starts in a row, as far as they are counted
    intake,         \* "Open"; "Paused", or "Drained": paused, and it was said that nobody is left
    stage           \* "Open", "Closing", "Closed"

vars == << phase, rung, port, marked, queue, asked, leases, session, home, size, cooling, failed, intake, stage >>

Doings == { "Failures", "Crashes", "Faults", "Limits", "Unmarking", "Probes", "Pauses", "Resizes", "GivingUp",
            "Shutdown" }

Serving  == {"Ready", "Busy"}
Draining == {"Lingering", "Finishing"}
Ending   == {"Stopping", "Terminated"}

ASSUME Doing == Happens \subseteq Doings

--------------------------------------------------------------------------------
(*******************************************************************************)
(* What is counted.                                                            *)
(*******************************************************************************)

Monitor == "monitor"

Count(S) == Cardinality(S)

In(phases)  == { w \in Workers : phase[w] \in phases }
Staff       == In({"Initializing", "Ready", "Busy"}) \ marked
Occupied    == Workers \ In({"absent", "Terminated"})     \* Who has a place among size + surge.

Waiting   == { queue[n] : n \in 1..Len(queue) }
Free      == { c \in Clients : asked[c] = "nothing" /\ \A l \in leases : l[1] # c }
Place(c)  == CHOOSE n \in 1..Len(queue) : queue[n] = c
Holding   == { l[1] : l \in leases } \cap Clients
Probed    == { w \in Workers : << Monitor, w >> \in leases }
Holds(c)  == \E l \in leases : l[1] = c
IsHeld(w) == \E l \in leases : l[2] = w

HasSession(w) == \E s \in Sessions : session[s] = "bound" /\ home[s] = w

\* The one worker that c must have; 0 when any will do.
HomeOf(c) == IF asked[c] \in Sessions THEN home[asked[c]] ELSE 0

\* Nothing goes wrong with a worker that could not be replaced. This bounds the world, not the pool.
Bearable(w) == w \in Staff => Count(In({"absent"})) + Count(Staff) > size

--------------------------------------------------------------------------------
(*******************************************************************************)
(* One worker.  React(w, i) is its whole answer to input i, as in              *)
(* WorkerLifecycle.                                                            *)
(*******************************************************************************)

Moves(w, i)  == Cell[phase[w]][i] \notin {Stale, Refused}
Target(w, i) == IF Moves(w, i) THEN Cell[phase[w]][i] ELSE phase[w]

RungAfter(w, i) == IF Target(w, i) # "Stopping" THEN "none"
                   ELSE IF ~Moves(w, i)         THEN rung[w]
                   ELSE IF i = "RungElapsed"    THEN NextRung[rung[w]]
                   ELSE                              EntryRung[i]

React(w, i) == /\ phase'  = [phase EXCEPT ![w] = Target(w, i)]
               /\ rung'   = [rung EXCEPT ![w] = RungAfter(w, i)]
               /\ marked' = { m \in marked : m # w \/ Target(w, i) \in Serving }

PortBecomes(w, p) == port' = [port EXCEPT ![w] = p]

(*******************************************************************************)
(* What a step leaves alone.                                                      *)
(*******************************************************************************)

PortsStay    == port' = port
WorkersStay  == phase' = phase /\ rung' = rung /\ port' = port /\ marked' = marked
ClientsStay  == queue' = queue /\ asked' = asked /\ leases' = leases
SessionsStay == session' = session /\ home' = home
RestartsStay == cooling' = cooling /\ failed' = failed
StateStays   == size' = size /\ intake' = intake /\ stage' = stage
PoolStays    == RestartsStay /\ StateStays

--------------------------------------------------------------------------------
(*******************************************************************************)
(* Settling: what the pool does by itself.  Each action has a condition of its *)
(* own, so that it can be asked whether anything is left to do: see Settled.   *)
(*******************************************************************************)

\* A worker that is to be replaced goes as soon as there is one more that serves than there must be.
ToSpare == Count(In(Serving)) > size

ReplacedRetires(w) == w \in marked /\ ToSpare

RetireReplaced(w) == /\ ReplacedRetires(w)
                     /\ React(w, "Retire")
                     /\ PortsStay /\ ClientsStay /\ SessionsStay /\ PoolStays

\* After a shrink, or after marks were taken back. Who has not started yet goes first, then who is idle.
GoesFirst(w) == \A v \in Staff : \/ phase[w] = "Initializing"
                                 \/ phase[w] = "Ready" /\ phase[v] # "Initializing"
                                 \/ phase[v] = "Busy"

SurplusRetires(w) == w \in Staff /\ Count(Staff) > size /\ GoesFirst(w)

RetireSurplus(w) == /\ SurplusRetires(w)
                    /\ React(w, "Retire")
                    /\ PortsStay /\ ClientsStay /\ SessionsStay /\ PoolStays

\* A drain that nothing holds back any more is over.
DrainIsOver(w) == phase[w] = "Lingering" /\ ~HasSession(w)

EndDrain(w) == /\ DrainIsOver(w)
               /\ React(w, "SessionsEnded")
               /\ PortsStay /\ ClientsStay /\ SessionsStay /\ PoolStays

\* Everybody who waits for session s is refused.
WaitersOfLeave(s) == /\ queue' = SelectSeq(queue, LAMBDA c : asked[c] # s)
                     /\ asked' = [c \in Clients |-> IF c \in Waiting /\ asked[c] = s THEN "nothing" ELSE asked[c]]
                     /\ leases' = leases

WaitedFor(s) == \E c \in Waiting : asked[c] = s

SessionBecomes(s, state) == session' = [session EXCEPT ![s] = state] /\ home' = [home EXCEPT ![s] = 0]

\* Whoever waits for a worker that serves its sessions no longer is told; if nobody does, it is told who asks next.
SessionIsLost(s) == session[s] = "bound" /\ phase[home[s]] \in Ending

LoseSession(s) == /\ SessionIsLost(s)
                  /\ SessionBecomes(s, IF WaitedFor(s) THEN "closed" ELSE "lost")
                  /\ WaitersOfLeave(s)
                  /\ WorkersStay /\ PoolStays

\* A ready worker is for everybody who may have it, a draining one for its own sessions.
MayHave(c, w) == \/ phase[w] = "Ready"     /\ HomeOf(c) \in {0, w}
                 \/ phase[w] = "Lingering" /\ HomeOf(c) = w

\* Of those who may have w, c has waited longest.
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

\* A worker is opened where one is missing, not held back, and has a place.
MayStart == /\ stage = "Open"
            /\ Count(Staff) + cooling < size
            /\ Count(In({"Initializing"})) < MaxStarting
            /\ Count(Occupied) < size + Surge

IsOpenedNext(w) == phase[w] = "absent" /\ \A v \in In({"absent"}) : w <= v

Start(w) == /\ IsOpenedNext(w) /\ MayStart
            /\ phase' = [phase EXCEPT ![w] = "Initializing"]
            /\ PortBecomes(w, "opening")
            /\ rung' = rung /\ marked' = marked
            /\ ClientsStay /\ SessionsStay /\ PoolStays

\* A position is held back as long as it is vacant: not when the worker that was to be replaced is kept after all, nor
\* when the pool was made smaller.
PauseIsIdle == cooling > 0 /\ Count(Staff) + cooling > size

EndPause == /\ PauseIsIdle
            /\ cooling' = cooling - 1 /\ failed' = failed
            /\ WorkersStay /\ ClientsStay /\ SessionsStay /\ StateStays

\* Those who wait for their session's own worker have an end in sight: that worker's. To the others it is said when
\* there is none.
InCrashLoop == failed >= CrashLoop /\ In(Serving) = {}
Hopeless(c) == HomeOf(c) = 0 /\ (stage # "Open" \/ InCrashLoop)

Refuses(c) == Leave(c) /\ asked' = [asked EXCEPT ![c] = "nothing"] /\ leases' = leases

Refuse(c) == /\ c \in Waiting /\ Hopeless(c)
             /\ \A d \in Waiting : Hopeless(d) => Place(c) <= Place(d)
             /\ Refuses(c)
             /\ WorkersStay /\ SessionsStay /\ PoolStays

\* Too many wait, although nobody can be helped: the last one is one too many.
NobodyIsHelped == \A c \in Waiting : ~Hopeless(c) /\ \A w \in Workers : ~MayHave(c, w)
IsTooMany(c)   == Len(queue) > MaxWaiting /\ queue[Len(queue)] = c /\ NobodyIsHelped

RefuseFull(c) == /\ IsTooMany(c)
                 /\ Refuses(c)
                 /\ WorkersStay /\ SessionsStay /\ PoolStays

\* Of a pool that takes no new clients it is said once that it has no old ones.
IsDrained == intake = "Paused" /\ queue = << >> /\ \A w \in Occupied : \A c \in Clients : << c, w >> \notin leases

SayDrained == /\ IsDrained
              /\ intake' = "Drained"
              /\ size' = size /\ stage' = stage
              /\ WorkersStay /\ ClientsStay /\ SessionsStay /\ RestartsStay

\* The end: nobody is alive. Every session that is left ends with the pool.
IsOver == /\ stage = "Closing" /\ Occupied = {} /\ queue = << >>
          /\ \A s \in Sessions : ~SessionIsLost(s)

Close == /\ IsOver
         /\ stage' = "Closed"
         /\ session' = [s \in Sessions |-> "closed"] /\ home' = [s \in Sessions |-> 0]
         /\ size' = size /\ intake' = intake
         /\ WorkersStay /\ ClientsStay /\ RestartsStay

Settled == /\ ~\E w \in Workers : ReplacedRetires(w) \/ SurplusRetires(w) \/ DrainIsOver(w)
           /\ ~\E s \in Sessions : SessionIsLost(s)
           /\ NobodyIsHelped
           /\ ~\E c \in Waiting : IsTooMany(c)
           /\ ~PauseIsIdle
           /\ ~(MayStart /\ In({"absent"}) # {})
           /\ ~IsDrained
           /\ ~IsOver

--------------------------------------------------------------------------------
(*******************************************************************************)
(* Inputs from ports and from the clock.                                       *)
(*******************************************************************************)

\* A fact about w's port, after which it is p.
Hear(w, i, p) == React(w, i) /\ PortBecomes(w, p)

Started(w) == /\ phase[w] = "Initializing"
              /\ Hear(w, "Started", "open")
              /\ failed' = 0 /\ cooling' = cooling
              /\ ClientsStay /\ SessionsStay /\ StateStays

\* A start that failed is counted, and its position held back; in a pool that closes there are no positions any more.
Fails == /\ failed'  = IF failed < CrashLoop THEN failed + 1 ELSE failed
         /\ cooling' = IF stage = "Open" THEN cooling + 1 ELSE cooling
         /\ ClientsStay /\ SessionsStay /\ StateStays

MayFail(w) == "Failures" \in Happens /\ phase[w] = "Initializing" /\ Bearable(w)

StartFailed(w)  == MayFail(w) /\ Hear(w, "StartFailed", "broken") /\ Fails
StartElapsed(w) == MayFail(w) /\ React(w, "StartElapsed") /\ PortsStay /\ Fails

\* A worker that exits while it serves has crashed. If it has done so before, its position is held back.
ExitedAtStart(w) == MayFail(w) /\ Hear(w, "Exited", "exited") /\ Fails

Crashed(w) == /\ "Crashes" \in Happens /\ Bearable(w)
              /\ phase[w] \in Serving \cup Draining
              /\ Hear(w, "Exited", "exited")
              /\ cooling' \in IF w \in Staff THEN {cooling, cooling + 1} ELSE {cooling}
              /\ failed' = failed
              /\ ClientsStay /\ SessionsStay /\ StateStays

ExitedAtStop(w) == /\ phase[w] = "Stopping" /\ port[w] # "exited"
                   /\ Hear(w, "Exited", "exited")
                   /\ ClientsStay /\ SessionsStay /\ PoolStays

Exited(w) == ExitedAtStart(w) \/ Crashed(w) \/ ExitedAtStop(w)

Released(w) == /\ rung[w] = "Reap" /\ port[w] = "exited"
               /\ Hear(w, "Released", "released")
               /\ ClientsStay /\ SessionsStay /\ PoolStays

DrainElapsed(w) == /\ phase[w] \in Draining
                   /\ React(w, "DrainElapsed")
                   /\ PortsStay /\ ClientsStay /\ SessionsStay /\ PoolStays

RungElapsed(w) == /\ phase[w] = "Stopping"
                  /\ React(w, "RungElapsed")
                  /\ PortsStay /\ ClientsStay /\ SessionsStay /\ PoolStays

CoolingEnds == /\ cooling > 0
               /\ cooling' = cooling - 1 /\ failed' = failed
               /\ WorkersStay /\ ClientsStay /\ SessionsStay /\ StateStays

(*******************************************************************************)
(* Inputs from clients.                                                        *)
(*******************************************************************************)

IsFree(c) == asked[c] = "nothing" /\ ~Holds(c)

Joins(c, what) == /\ queue' = Append(queue, c)
                  /\ asked' = [asked EXCEPT ![c] = what]
                  /\ leases' = leases
                  /\ WorkersStay /\ SessionsStay /\ PoolStays

TakesNewcomers == stage = "Open" /\ intake = "Open"

Checkout(c) == IsFree(c) /\ TakesNewcomers /\ Joins(c, "any")

\* Who has a worker of its own is not new, and comes also while the pool is paused or closes.
CheckoutFor(c, s) == /\ IsFree(c)
                     /\ session[s] = "bound" \/ (session[s] = "unbound" /\ TakesNewcomers)
                     /\ Joins(c, s)

\* Whose session is lost is told so, once.
TellLost(c, s) == /\ IsFree(c) /\ session[s] = "lost"
                  /\ SessionBecomes(s, "closed")
                  /\ WorkersStay /\ ClientsStay /\ PoolStays

GiveUp(c) == /\ "GivingUp" \in Happens /\ c \in Waiting
             /\ Refuses(c)
             /\ WorkersStay /\ SessionsStay /\ PoolStays

\* A lease that is given back says one of two things of its worker, which no longer listens if it was stopped.
GiveBack(c, w, i) == /\ << c, w >> \in leases
                     /\ React(w, i)
                     /\ leases' = leases \ {<< c, w >>}
                     /\ asked' = IF c \in Clients THEN [asked EXCEPT ![c] = "nothing"] ELSE asked
                     /\ queue' = queue
                     /\ PortsStay /\ SessionsStay /\ PoolStays

Checkin(c, w) == GiveBack(c, w, "Checkin")
Fault(c, w)   == "Faults" \in Happens /\ Bearable(w) /\ GiveBack(c, w, "Fault")

OpenSession(s) == /\ session[s] = "closed" /\ TakesNewcomers
                  /\ Count({ t \in Sessions : session[t] # "closed" }) < MaxSessions
                  /\ \A c \in Clients : asked[c] # s
                  /\ SessionBecomes(s, "unbound")
                  /\ WorkersStay /\ ClientsStay /\ PoolStays

\* A client that ends its session refuses those who wait for it; a lease that is out goes on.
EndSession(s) == /\ session[s] # "closed"
                 /\ SessionBecomes(s, "closed")
                 /\ WaitersOfLeave(s)
                 /\ WorkersStay /\ PoolStays

\* A session that nobody uses for long ends too.
Expire(s) == (session[s] = "lost" \/ \A c \in Clients : asked[c] # s) /\ EndSession(s)

(*******************************************************************************)
(* Inputs about the upkeep of workers.                                         *)
(*******************************************************************************)

\* A worker has reached a limit, or somebody wants it replaced. The pool may notice while it settles.
Limit(w) == /\ "Limits" \in Happens /\ stage = "Open" /\ phase[w] \in Serving /\ w \notin marked /\ Bearable(w)
            /\ marked' = marked \cup {w}
            /\ phase' = phase /\ rung' = rung
            /\ PortsStay /\ ClientsStay /\ SessionsStay /\ PoolStays

\* When a start fails, a rolling restart stops: whoever it has marked and not replaced yet is kept.
Unmark(w) == /\ "Unmarking" \in Happens /\ failed > 0 /\ w \in marked
             /\ marked' = marked \ {w}
             /\ phase' = phase /\ rung' = rung
             /\ PortsStay /\ ClientsStay /\ SessionsStay /\ PoolStays

\* A probe is a lease of the health monitor's.
ProbeBegins(w) == /\ "Probes" \in Happens /\ phase[w] = "Ready"
                  /\ React(w, "Checkout")
                  /\ leases' = leases \cup {<< Monitor, w >>}
                  /\ queue' = queue /\ asked' = asked
                  /\ PortsStay /\ SessionsStay /\ PoolStays

ProbeEnds(w)   == GiveBack(Monitor, w, "Checkin")
ProbeMissed(w) == Bearable(w) /\ GiveBack(Monitor, w, "Fault")

\* A worker that says too often that it is not well is retired as soon as it has said so. Nobody is served in between.
ProbeUnwell(w) == /\ Bearable(w) /\ phase[w] = "Busy" /\ << Monitor, w >> \in leases
                  /\ phase' = [phase EXCEPT ![w] = Cell["Ready"]["Retire"]]
                  /\ marked' = marked \ {w}
                  /\ leases' = leases \ {<< Monitor, w >>}
                  /\ rung' = rung /\ queue' = queue /\ asked' = asked
                  /\ PortsStay /\ SessionsStay /\ PoolStays

(*******************************************************************************)
(* Inputs from whoever owns the pool.                                          *)
(*******************************************************************************)

SetIntake(to) == /\ intake' = to
                 /\ size' = size /\ stage' = stage
                 /\ WorkersStay /\ ClientsStay /\ SessionsStay /\ RestartsStay

\* Whoever wants it paused while it is will be told once more when nobody is left.
Pause  == "Pauses" \in Happens /\ intake # "Paused" /\ SetIntake("Paused")
Resume == "Pauses" \in Happens /\ intake # "Open" /\ SetIntake("Open")

Resize(n) == /\ "Resizes" \in Happens /\ Count(In({"absent"})) + Count(Staff) >= n
             /\ size' = n
             /\ intake' = intake /\ stage' = stage
             /\ WorkersStay /\ ClientsStay /\ SessionsStay /\ RestartsStay

\* Every worker is retired, whatever it does; nothing new is begun, and sessions without a worker end.
ToRetire == Occupied

Shutdown == /\ "Shutdown" \in Happens /\ stage = "Open"
            /\ stage' = "Closing"
            /\ phase' = [w \in Workers |-> IF w \in ToRetire THEN Target(w, "Retire") ELSE phase[w]]
            /\ rung' = [w \in Workers |-> IF w \in ToRetire THEN RungAfter(w, "Retire") ELSE rung[w]]
            /\ marked' = {}
            /\ session' = [s \in Sessions |-> IF session[s] = "unbound" THEN "closed" ELSE session[s]]
            /\ home' = home
            /\ cooling' = 0 /\ failed' = failed
            /\ size' = size /\ intake' = intake
            /\ PortsStay /\ ClientsStay

--------------------------------------------------------------------------------

Init == /\ phase = [w \in Workers |-> "absent"] /\ rung = [w \in Workers |-> "none"]
        /\ port = [w \in Workers |-> "none"] /\ marked = {}
        /\ queue = << >> /\ asked = [c \in Clients |-> "nothing"] /\ leases = {}
        /\ session = [s \in Sessions |-> "closed"] /\ home = [s \in Sessions |-> 0]
        /\ size = Size /\ cooling = 0 /\ failed = 0 /\ intake = "Open" /\ stage = "Open"

Settle == \/ \E w \in marked : RetireReplaced(w)
          \/ \E w \in Staff : RetireSurplus(w)
          \/ \E w \in In({"Lingering"}) : EndDrain(w)
          \/ \E s \in Sessions : LoseSession(s)
          \/ \E c \in Waiting, w \in Workers : Grant(c, w)
          \/ EndPause
          \/ \E w \in Workers : Start(w)
          \/ \E c \in Waiting : Refuse(c)
          \/ \E c \in Waiting : RefuseFull(c)
          \/ SayDrained
          \/ Close

Notice == \/ \E w \in In(Serving) : Limit(w)
          \/ \E w \in marked : Unmark(w)

Input == \/ \E w \in In({"Initializing"}) : Started(w)
         \/ \E w \in In({"Initializing"}) : StartFailed(w)
         \/ \E w \in In({"Initializing"}) : StartElapsed(w)
         \/ \E w \in Occupied : Exited(w)
         \/ \E w \in In({"Stopping"}) : Released(w)
         \/ \E w \in In(Draining) : DrainElapsed(w)
         \/ \E w \in In({"Stopping"}) : RungElapsed(w)
         \/ CoolingEnds
         \/ \E c \in Free : Checkout(c)
         \/ \E c \in Clients, s \in Sessions : CheckoutFor(c, s)
         \/ \E c \in Clients, s \in Sessions : TellLost(c, s)
         \/ \E c \in Waiting : GiveUp(c)
         \/ \E c \in Holding, w \in Workers : Checkin(c, w)
         \/ \E c \in Holding, w \in Workers : Fault(c, w)
         \/ \E s \in Sessions : OpenSession(s)
         \/ \E s \in Sessions : EndSession(s)
         \/ \E s \in Sessions : Expire(s)
         \/ \E w \in In({"Ready"}) : ProbeBegins(w)
         \/ \E w \in Probed : ProbeEnds(w)
         \/ \E w \in Probed : ProbeMissed(w)
         \/ \E w \in Probed : ProbeUnwell(w)
         \/ Pause
         \/ Resume
         \/ \E n \in Sizes : Resize(n)
         \/ Shutdown

Next == Settle \/ Notice \/ (Settled /\ Input)

(*******************************************************************************)
(* What is relied on, and nothing more:                                        *)
(*                                                                             *)
(*   - the supervisor settles after each input;                                *)
(*   - a deadline that runs passes, and a back-off ends;                       *)
(*   - SIGKILL ends a process, and the driver releases a port when it is to;   *)
(*   - a call has a timeout: every lease is given back, and each probe's too.  *)
(*                                                                             *)
(* It is not relied on that starts succeed, that a worker obeys, that anybody  *)
(* gives up waiting, or that sessions end.                                     *)
(*                                                                             *)
(* Inputs here are facts of the world, which do not wait for the pool to be    *)
(* Settled: what can happen for ever does happen.  Much of it happens once to  *)
(* a worker, of which there are finitely many: for that one condition does.    *)
(*******************************************************************************)

StartEnds(w) == Started(w) \/ StartFailed(w) \/ StartElapsed(w) \/ ExitedAtStart(w)
KillEnds(w)  == rung[w] = "Kill" /\ ExitedAtStop(w)
NextRungIsTaken(w) == rung[w] \in {"Ask", "Term"} /\ RungElapsed(w)

TimePasses == CoolingEnds \/ \E w \in Workers : \/ StartEnds(w) \/ DrainElapsed(w) \/ NextRungIsTaken(w)
                                                \/ KillEnds(w) \/ Released(w)

CallEnds(c)  == \E w \in Workers : Checkin(c, w) \/ Fault(c, w)
ProbeIsOver(w) == ProbeEnds(w) \/ ProbeMissed(w) \/ ProbeUnwell(w)

Fairness == /\ WF_vars(Settle)
            /\ WF_vars(TimePasses)
            /\ \A c \in Clients : WF_vars(CallEnds(c))
            /\ \A w \in Workers : WF_vars(ProbeIsOver(w))

Spec == Init /\ [][Next]_vars /\ Fairness

--------------------------------------------------------------------------------
\* What the properties count: ports, which are the world's, and not places, which are the pool's own idea of them.
Ports   == { w \in Workers : port[w] \notin {"none", "released"} }
Largest == CHOOSE n \in Sizes \cup {Size} : \A m \in Sizes \cup {Size} : m <= n

(*******************************************************************************)
(* Safety: in every state.                                                     *)
(*******************************************************************************)

TypeOK == /\ phase \in [Workers -> Phases \cup {"absent"}]
          /\ \A w \in Workers : rung[w] \in (IF phase[w] = "Stopping" THEN RungSet ELSE {"none"})
          /\ port \in [Workers -> {"none", "opening", "open", "broken", "exited", "released"}]
          /\ marked \subseteq In(Serving)
          /\ Waiting \subseteq Clients
          /\ asked \in [Clients -> Sessions \cup {"any", "nothing"}]
          /\ leases \subseteq (Clients \cup {Monitor}) \X Workers
          /\ session \in [Sessions -> {"closed", "unbound", "bound", "lost"}]
          /\ \A s \in Sessions : home[s] \in (IF session[s] = "bound" THEN Workers ELSE {0})
          /\ size \in Sizes \cup {Size}
          /\ cooling \in 0..Count(Workers) /\ failed \in 0..CrashLoop
          /\ intake \in {"Open", "Paused", "Drained"} /\ stage \in {"Open", "Closing", "Closed"}

\* What the pool does is never what the table refuses; the environment's inputs are never refused either.
NeverRefused == \A w \in Workers :
    /\ phase[w] \notin {"absent", "Terminated"} => Cell[phase[w]]["Retire"] # Refused
    /\ IsHeld(w) => Cell[phase[w]]["Checkin"] # Refused /\ Cell[phase[w]]["Fault"] # Refused

\* A worker has ended exactly when its port is released.
TerminatedIsReleased == \A w \in Workers : phase[w] = "Terminated" <=> port[w] = "released"

\* A worker has one lease, and a client one: which it has got by waiting once.
AtMostOneLease == /\ \A l, m \in leases : l[2] = m[2] => l = m
                  /\ \A l, m \in leases : l[1] = m[1] /\ l[1] # Monitor => l = m

LeaseMatchesPhase == \A w \in Workers : /\ phase[w] \in {"Busy", "Finishing"} => IsHeld(w)
                                        /\ phase[w] \in {"Initializing", "Ready", "Lingering"} => ~IsHeld(w)

\* Nobody waits who has been answered, or twice.
WaitsOnce == /\ \A c \in Waiting : asked[c] # "nothing" /\ ~Holds(c)
             /\ \A m, n \in 1..Len(queue) : queue[m] = queue[n] => m = n

\* A place is free only when the port that had it is released.
NeverTooManyPorts == Count(Ports) <= Largest + Surge

QueueIsBounded == Settled => Len(queue) <= MaxWaiting

SessionsAreBounded == Count({ s \in Sessions : session[s] # "closed" }) <= MaxSessions

\* Once the pool is quiet, nobody waits beside an idle worker that it may have.
NobodyWaitsBesideIdle ==
    Settled => \A c \in Waiting, w \in Workers :
        /\ ~(phase[w] = "Ready" /\ HomeOf(c) \in {0, w})
        /\ ~(phase[w] = "Lingering" /\ HomeOf(c) = w)

\* Once the pool is quiet, no more serve or start than its size says.
NoSurplus == Settled => Count(Staff) <= size

\* Once it is quiet, nobody waits in vain.
NobodyWaitsInVain == Settled /\ InCrashLoop => \A c \in Waiting : HomeOf(c) # 0

\* A pool that closes has let go of every worker; one that is closed has none.
ShutdownForgetsNobody == stage # "Open" => In({"Initializing", "Ready", "Busy"}) = {}
ClosedIsEmpty == stage = "Closed" => /\ Ports = {} /\ queue = << >>
                                     /\ \A s \in Sessions : session[s] = "closed"

\* Only a session that has a worker keeps it lingering, and a drain ends with the last one.
DrainsEndWithSessions == Settled => \A w \in Workers : phase[w] = "Lingering" => HasSession(w)

(*******************************************************************************)
(* Safety: in every step.                                                      *)
(*******************************************************************************)

DrainingNeverServesAgain == [][\A w \in Workers : (phase[w] \in Draining) => phase'[w] \notin Serving]_vars

TerminatedIsFinal == [][\A w \in Workers : phase[w] = "Terminated" => phase'[w] = "Terminated"]_vars

\* A port is opened only where there is a place for it. A shrink may leave more than there are places.
PortsHavePlaces == [][(~(Ports' \subseteq Ports)) => Count(Ports') <= size + Surge]_vars

\* A lease is granted by a worker that serves everybody, or by one that still serves its own sessions.
GrantsAreEarned ==
    [][\A l \in leases' \ leases : \/ phase[l[2]] = "Ready"
                                   \/ phase[l[2]] = "Lingering" /\ l[1] # Monitor /\ HomeOf(l[1]) = l[2]]_vars

\* Whoever leaves the queue is granted a lease, or is told why not, or has given up.
WaitersAreToldWhy ==
    [][\A c \in Waiting : c \notin Waiting' =>
        \/ \E w \in Workers : << c, w >> \in leases' \ leases
        \/ Refuse(c) \/ RefuseFull(c) \/ GiveUp(c)
        \/ \E s \in Sessions : asked[c] = s /\ (LoseSession(s) \/ (Settled /\ EndSession(s)))]_vars

\* First come, first served: nobody who waits longer could have had the lease.
FirstComeFirstServed ==
    [][\A l \in leases' \ leases : l[1] # Monitor =>
        \A n \in 1..(Place(l[1]) - 1) : ~(\/ HomeOf(queue[n]) = l[2]
                                          \/ HomeOf(queue[n]) = 0 /\ phase[l[2]] = "Ready")]_vars

\* A pool that is paused or closes takes no newcomer, and refuses nobody for being paused.
PausedTakesNoNewcomer == [][intake # "Open" => \A c \in Waiting' \ Waiting : HomeOf(c)' # 0]_vars
PauseRefusesNobody == [][intake' # intake => queue' = queue]_vars

\* A limit never takes a pool below its size: who is replaced goes when its replacement serves.
LimitsKeepTheSize ==
    [][\A w \in marked : (phase'[w] \in Draining /\ stage' = "Open" /\ ~ProbeUnwell(w))
        => Count(In(Serving)') >= size]_vars

\* Whoever finds a worker faulty, nobody is served by it afterwards.
FaultedNeverServes == [][\A c \in Clients \cup {Monitor}, w \in Workers : Fault(c, w) => phase'[w] \in Ending]_vars

\* A session never moves from one worker to another.
SessionsNeverMove ==
    [][\A s \in Sessions : /\ session[s] = "bound" => session'[s] \in {"lost", "closed"} \/ home'[s] = home[s]
                           /\ session[s] = "lost"  => session'[s] \in {"lost", "closed"}]_vars

\* A lease of a session is on its worker.
SessionsKeepToTheirWorker ==
    [][\A l \in leases' \ leases : (l[1] # Monitor /\ asked[l[1]] \in Sessions) => home'[asked[l[1]]] = l[2]]_vars

\* A session that was lost ends when somebody is told, or when nobody wants it any more, or with the pool.
TheLostAreTold ==
    [][\A s \in Sessions : (session[s] \in {"bound", "lost"} /\ session'[s] = "closed") =>
        \/ (Settled /\ EndSession(s)) \/ Close
        \/ \E c \in Clients : IF session[s] = "lost" THEN TellLost(c, s) ELSE c \in Waiting /\ asked[c] = s]_vars

\* A position is held back only because a worker failed.
OnlyFailuresHoldBack ==
    [][cooling' > cooling => \E w \in Workers : phase[w] # "Stopping" /\ phase'[w] = "Stopping" /\ rung'[w] # "Ask"]_vars

\* Whoever waits for a pause to end waits for a position that is vacant.
OnlyVacanciesAreHeldBack == [][CoolingEnds /\ Settled /\ stage = "Open" => Count(Staff) + cooling <= size]_vars

(*******************************************************************************)
(* Liveness: in the long run.                                                  *)
(*******************************************************************************)

EveryStartEnds == \A w \in Workers : phase[w] = "Initializing" ~> phase[w] \in {"Ready", "Terminated"}
EveryDrainEnds == \A w \in Workers : phase[w] \in Draining     ~> phase[w] = "Terminated"
EveryStopEnds  == \A w \in Workers : phase[w] = "Stopping"     ~> phase[w] = "Terminated"

EveryWaiterIsAnswered == \A c \in Clients : c \in Waiting ~> c \notin Waiting

\* Failures are finitely many here. A pool that suffers no more of them has its size again.
TheSizeIsRestored == []<>(stage = "Open" => Count(In(Serving)) >= size)

\* What a shrink left is shut.
SurplusIsShut == Count(Ports) > size + Surge ~> Count(Ports) <= size + Surge

ShutdownEnds == stage = "Closing" ~> stage = "Closed"

\* A pool that takes no newcomers has no clients at last, unless sessions that it had before go on for ever.
DrainIsSaid == []<>(intake = "Paused" => \E s \in Sessions : session[s] = "bound")
================================================================================
