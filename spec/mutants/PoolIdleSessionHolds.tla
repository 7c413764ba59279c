\* Rejected by IdleSessionsHoldNoShutdown: an idle session holds a shutdown until the drain
\* deadline.
------------------------- MODULE PoolIdleSessionHolds --------------------------
EXTENDS WorkerPool

WithItsWorker(s) == session[s] = "bound" /\ phase[home[s]] \in Ending
================================================================================
