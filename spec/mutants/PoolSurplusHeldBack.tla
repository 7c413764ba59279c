\* Rejected by OnlyFailuresHoldBack: a surplus worker that is retired at its start counts as a failed one.
-------------------------- MODULE PoolSurplusHeldBack --------------------------
EXTENDS WorkerPool

HoldsBack(w) == /\ SurplusRetires(w)
                /\ React(w, "Retire")
                /\ cooling' = (IF phase[w] = "Initializing" THEN cooling + 1 ELSE cooling) /\ failed' = failed
                /\ PortsStay /\ ClientsStay /\ SessionsStay /\ StateStays
================================================================================
