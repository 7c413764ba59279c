---------------------------- MODULE WorkerPoolTrace ----------------------------
(*******************************************************************************)
(* What a trace of a real pool is checked against: WorkerPool, and one step    *)
(* more.                                                                       *)
(*                                                                             *)
(* A real pool opens workers without end, and a worker of the specification is *)
(* opened once.  So one that is gone for good is forgotten, and its number is  *)
(* given to another.  Nothing is hidden by that: no action looks at a worker   *)
(* that is Terminated unless somebody still holds a lease on it, or a session  *)
(* is bound to it; and nothing but the order in which they are opened tells    *)
(* absent workers apart.                                                       *)
(*                                                                             *)
(* Clients and sessions need no such step.  WorkerPool itself lets their names *)
(* come again.                                                                 *)
(*******************************************************************************)
EXTENDS WorkerPool

IsForgettable(w) == /\ phase[w] = "Terminated" /\ port[w] = "released"
                    /\ ~IsHeld(w)
                    /\ \A s \in Sessions : home[s] # w

Forget(w) == /\ IsForgettable(w)
             /\ phase' = [phase EXCEPT ![w] = "absent"]
             /\ PortBecomes(w, "none")
             /\ rung' = rung /\ marked' = marked
             /\ ClientsStay /\ SessionsStay /\ PoolStays

================================================================================
