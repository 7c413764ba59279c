\* Rejected by LossesAreReportedOnce: a loss is reported to the clients that wait, and to the next
\* one.
------------------------- MODULE PoolLossReportedTwice -------------------------
EXTENDS WorkerPool

Loses(s) == /\ SessionIsLost(s)
            /\ SessionBecomes(s, "lost")
            /\ RefuseWaitersOf(s)
            /\ WorkersStay /\ PoolStays
================================================================================
