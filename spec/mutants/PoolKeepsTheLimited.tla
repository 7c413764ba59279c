\* Rejected by OnlyRollingMarksAreTakenBack: a failed start keeps a worker at its limit, which no
\* rolling restart chose.
-------------------------- MODULE PoolKeepsTheLimited --------------------------
EXTENDS WorkerPool

KeepsAll(w) == /\ IsKept(w)
               /\ replacing' = {} /\ rolling' = rolling
               /\ phase' = phase /\ rung' = rung
               /\ PortsStay /\ ClientsStay /\ SessionsStay /\ PoolStays
================================================================================
