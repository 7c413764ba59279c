\* Rejected by OnlyFailuresBackOff: a surplus worker that retires at its start counts as a failed
\* start.
-------------------------- MODULE PoolSurplusBacksOff --------------------------
EXTENDS WorkerPool

BacksOff(w) == /\ SurplusRetires(w)
               /\ React(w, "Retire")
               /\ backoff' = (IF phase[w] = "Initializing" THEN backoff + 1 ELSE backoff)
               /\ failed' = failed /\ restart' = restart
               /\ PortsStay /\ ClientsStay /\ SessionsStay /\ StateStays
================================================================================
