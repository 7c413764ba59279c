---------------------------- MODULE WorkerPoolProof -----------------------------
(******************************************************************************)
(* An inductive invariant of WorkerPool.                                      *)
(*                                                                            *)
(* It holds at first, and every step from a state where it holds leads to a   *)
(* state where it holds.  So it holds in every reachable state, for any       *)
(* number of workers, clients and sessions.  `cargo test` proves that (see    *)
(* "Any number of workers" in README.md).  The checker confirms it in every   *)
(* slice.                                                                     *)
(*                                                                            *)
(* The properties of WorkerPool are not inductive by themselves.  The clauses *)
(* below say what they silently rely on.                                      *)
(******************************************************************************)
EXTENDS WorkerPool

\* The proof distinguishes the elements of these sets from all other values.
ASSUME Distinct == /\ 0 \notin Workers
                   /\ Clients \cap {Monitor, Canceller} = {}
                   /\ Sessions \cap {"any", "nothing"} = {}

\* The proof takes each of these for a natural number.
ASSUME Natural == \A n \in Sizes \cup {Size, Surge, MaxStarting, MaxWaiting, MaxSessions, CrashLoop} : n >= 0

(******************************************************************************)
(* What the properties rely on.  Without any of these clauses, some step from *)
(* a state that the others allow breaks a property.                           *)
(******************************************************************************)

\* A worker has no port before it is opened, and one from then on. Otherwise Start could open a port
\* although no slot is free.
PortsComeWithWorkers == \A w \in Workers : phase[w] = "absent" <=> port[w] = "none"

\* A worker that has not begun to stop has a port that says so. Otherwise a port could open twice, or a
\* worker that nothing is wrong with could be stopped as if something were.
LivePortsFit == \A w \in Workers :
    /\ phase[w] = "Initializing" => port[w] = "opening"
    /\ phase[w] \in Serving \cup Draining => port[w] = "open"

\* A worker that was never opened has no lease. Otherwise it would start with one.
AbsentHaveNoLease == \A w \in Workers : phase[w] = "absent" => ~IsHeld(w)

\* A client waits only for a session that is open, or that a shutdown ended. Otherwise a grant would
\* reopen a session.
WaitersHaveOpenSessions ==
    \A c \in Waiting : asked[c] \in Sessions =>
        \/ session[asked[c]] \in {"unbound", "bound"}
        \/ session[asked[c]] = "closed" /\ stage # "Open"

\* The worker of a bound session has served. Otherwise a session could wait for a worker that was
\* never opened.
HomesHaveServed == \A s \in Sessions : session[s] = "bound" => phase[home[s]] \notin {"absent", "Initializing"}

\* An unbound session has no lease. Otherwise its first grant could bind it to another worker than
\* that of the lease.
UnboundHaveNoLease ==
    \A l \in leases : l[1] \in Clients /\ asked[l[1]] \in Sessions => session[asked[l[1]]] # "unbound"

\* When a failed start stops a rolling restart, a chosen worker is left to be kept, and none retires
\* before it is kept.
StoppedRollingHasChosen == restart = "failed" => rolling # {} /\ Count(In(Serving)) <= size

(******************************************************************************)
(* Properties that the slices do not list.                                    *)
(******************************************************************************)

\* Only a worker whose process has exited is reaped, and each such worker is.
ReapedHaveExited == \A w \in Workers : rung[w] = "Reap" => port[w] = "exited"
ExitedAreReaped  == \A w \in Workers : port[w] = "exited" => phase[w] = "Terminated" \/ rung[w] = "Reap"

--------------------------------------------------------------------------------
Inductive == /\ TypeOK
             /\ NeverRefused
             /\ ReleasedIsTerminated
             /\ AtMostOneLease
             /\ LeaseMatchesPhase
             /\ WaitsOnce
             /\ NeverTooManyPorts
             /\ SessionsAreBounded
             /\ ShutdownRetiresAll
             /\ ClosedIsEmpty
             /\ ShutdownDrainsBeforeStopping
             /\ PortsComeWithWorkers
             /\ LivePortsFit
             /\ AbsentHaveNoLease
             /\ WaitersHaveOpenSessions
             /\ HomesHaveServed
             /\ UnboundHaveNoLease
             /\ StoppedRollingHasChosen
             /\ StartsAreBounded
             /\ ReapedHaveExited
             /\ ExitedAreReaped
             /\ ClosingPlansNothing
             /\ AskedIsPending
             /\ SessionLeasesAreAtHome
             /\ DrainedServesOnlySessions

\* The invariant must allow such a state. Otherwise the proof would say nothing.
ProofIsNotVacuous == /\ \E w \in Workers : phase[w] = "Busy"
                     /\ Waiting # {}
                     /\ \E s \in Sessions : session[s] = "bound"
                     /\ stage = "Open"
================================================================================
