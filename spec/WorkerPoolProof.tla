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

\* A worker that was never opened has no lease. Otherwise it would start with one.
AbsentHaveNoLease == \A w \in Workers : phase[w] = "absent" => ~IsHeld(w)

\* A client waits only for a session that is open, or that a shutdown ended. Otherwise a grant would
\* reopen a session.
WaitersHaveOpenSessions ==
    \A c \in Waiting : asked[c] \in Sessions =>
        \/ session[asked[c]] \in {"unbound", "bound"}
        \/ session[asked[c]] = "closed" /\ stage # "Open"

\* When a failed start stops a rolling restart, a chosen worker is left to be kept, and none retires
\* before it is kept.
StoppedRollingHasChosen == restart = "failed" => rolling # {} /\ Count(In(Serving)) <= size

(******************************************************************************)
(* Properties that the slices do not list.                                    *)
(******************************************************************************)

\* At most MaxStarting workers start at the same time.
StartsAreBounded == Count(In({"Initializing"})) <= MaxStarting

\* Only a worker whose process has exited is reaped, and each such worker is.
ReapedHaveExited == \A w \in Workers : rung[w] = "Reap" => port[w] = "exited"
ExitedAreReaped  == \A w \in Workers : port[w] = "exited" => phase[w] = "Terminated" \/ rung[w] = "Reap"

\* A shutdown ends unbound sessions.
ClosingHasNoUnbound == stage # "Open" => \A s \in Sessions : session[s] # "unbound"

\* No client that has asked is forgotten: it waits or holds a lease.
AskedArePending == \A c \in Clients : asked[c] # "nothing" => c \in Waiting \/ Holds(c)

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
             /\ AbsentHaveNoLease
             /\ WaitersHaveOpenSessions
             /\ StoppedRollingHasChosen
             /\ StartsAreBounded
             /\ ReapedHaveExited
             /\ ExitedAreReaped
             /\ ClosingHasNoUnbound
             /\ AskedArePending

\* The invariant must allow such a state. Otherwise the proof would say nothing.
ProofIsNotVacuous == /\ \E w \in Workers : phase[w] = "Busy"
                     /\ Waiting # {}
                     /\ \E s \in Sessions : session[s] = "bound"
                     /\ stage = "Open"
================================================================================
