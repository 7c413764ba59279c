\* Rejected by SessionsKeepToTheirWorker: the first lease does not bind its session.
-------------------------- MODULE PoolSessionNotBound --------------------------
EXTENDS WorkerPool

Unbound(c, w) == SessionsStay /\ c \in Clients /\ w \in Workers
================================================================================
