\* Rejected by LastRungsAreRepeatedAtTheBound: SIGKILL is repeated although the port may be
\* abandoned.
-------------------------- MODULE PoolRepeatsLastRung --------------------------
EXTENDS WorkerPool

Repeats(w) == /\ phase[w] = "Stopping"
              /\ React(w, "RungElapsed")
              /\ PortsStay /\ ClientsStay /\ SessionsStay /\ PoolStays
================================================================================
