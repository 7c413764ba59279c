\* Rejected by LostSessionsAreReported: a session ends with its worker, and no client is told.
-------------------------- MODULE PoolLossUnreported ---------------------------
EXTENDS WorkerPool

Forgotten(s) == /\ SessionIsLost(s)
                /\ SessionBecomes(s, "closed") /\ RefuseWaitersOf(s)
                /\ WorkersStay /\ PoolStays
================================================================================
