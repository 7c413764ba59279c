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
ASSUME Natural == /\ \A n \in Sizes \cup {Size, Surge, MaxStarting, MaxWaiting, MaxSessions, CrashLoop} : n >= 0

\* A worker has no port before it is opened, and one from then on. Otherwise Start could give a
\* second port to a worker.
PortsComeWithWorkers == \A w \in Workers : phase[w] = "absent" <=> port[w] = "none"

\* A worker on Reap has exited. Otherwise its port could be released while its process runs.
ReapedHaveExited == \A w \in Workers : rung[w] = "Reap" => port[w] = "exited"

\* The reverse: a worker that has exited serves no one.
ExitedAreReaped == \A w \in Workers : port[w] = "exited" => phase[w] = "Terminated" \/ rung[w] = "Reap"

\* A worker that was never opened has no lease. Otherwise it would start with one.
AbsentHaveNoLease == \A w \in Workers : phase[w] = "absent" => ~IsHeld(w)

\* A client waits only for a session that is open, or that a shutdown ended. Otherwise a grant would
\* reopen a session.
WaitersHaveOpenSessions ==
    \A c \in Waiting : asked[c] \in Sessions =>
        \/ session[asked[c]] \in {"unbound", "bound"}
        \/ session[asked[c]] = "closed" /\ stage # "Open"

\* A bound session's worker was opened.
HomesWereOpened == \A s \in Sessions : session[s] = "bound" => phase[home[s]] # "absent"

\* A shutdown ends unbound sessions. Otherwise a closing pool could bind one.
ClosingHasNoUnbound == stage # "Open" => \A s \in Sessions : session[s] # "unbound"

\* A client that has asked waits or holds a lease.
AskedArePending == \A c \in Clients : asked[c] # "nothing" => c \in Waiting \/ Holds(c)

\* A vacancy backs off only after a worker failed, and no failed worker serves again.
BackoffsHadWorkers == backoff <= Count(In(Ending))

\* When a failed start stops a rolling restart, a chosen worker is left to be kept, and none retires
\* before it is kept.
StoppedRollingHasChosen == restart = "failed" => rolling # {} /\ Count(In(Serving)) <= size

\* At most MaxStarting workers start at the same time.
StartsAreBounded == Count(In({"Initializing"})) <= MaxStarting

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
             /\ StartsAreBounded
             /\ PortsComeWithWorkers
             /\ ReapedHaveExited
             /\ ExitedAreReaped
             /\ AbsentHaveNoLease
             /\ WaitersHaveOpenSessions
             /\ HomesWereOpened
             /\ ClosingHasNoUnbound
             /\ AskedArePending
             /\ BackoffsHadWorkers
             /\ StoppedRollingHasChosen
================================================================================
