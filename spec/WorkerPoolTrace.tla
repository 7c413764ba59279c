---------------------------- MODULE WorkerPoolTrace ----------------------------
(******************************************************************************)
(* The module that traces of real pools are checked against: WorkerPool,      *)
(* and one more action.                                                       *)
(*                                                                            *)
(* A real pool opens workers without end, while a worker of the               *)
(* specification is opened once.  So a worker that is gone is forgotten, and  *)
(* its number is given to another.  That hides nothing: an action looks at a  *)
(* Terminated worker only while a lease on it is out or a session is bound    *)
(* to it, and absent workers differ only in the order in which they open.     *)
(*                                                                            *)
(* Clients and sessions need no such action.  In WorkerPool their names are   *)
(* reused already.                                                            *)
(******************************************************************************)
EXTENDS WorkerPool

IsForgettable(w) == /\ phase[w] = "Terminated" /\ port[w] = "released"
                    /\ ~IsHeld(w)
                    /\ \A s \in Sessions : home[s] # w

Forget(w) == /\ IsForgettable(w)
             /\ phase' = [phase EXCEPT ![w] = "absent"]
             /\ PortBecomes(w, "none")
             /\ rung' = rung /\ ReplacingStay
             /\ ClientsStay /\ SessionsStay /\ PoolStays

================================================================================
