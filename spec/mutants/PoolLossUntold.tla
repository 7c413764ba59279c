\* Rejected by TheLostAreTold: a session ends with its worker, and nobody is told.
---------------------------- MODULE PoolLossUntold -----------------------------
EXTENDS WorkerPool

Forgotten(s) == /\ SessionIsLost(s)
                /\ SessionBecomes(s, "closed") /\ WaitersOfLeave(s)
                /\ WorkersStay /\ PoolStays
================================================================================
