\* Rejected by OnlyFailuresHoldBack: a starting worker that the pool has no place for any more holds a position back, as if its start had failed.
-------------------------- MODULE PoolSurplusHeldBack --------------------------
EXTENDS WorkerPool

HoldsBack(w) == /\ SurplusRetires(w)
                /\ React(w, "Retire")
                /\ cooling' = (IF phase[w] = "Initializing" THEN cooling + 1 ELSE cooling) /\ failed' = failed
                /\ PortsStay /\ ClientsStay /\ SessionsStay /\ StateStays
================================================================================
