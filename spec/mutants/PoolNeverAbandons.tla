\* Rejected by EveryStopEnds: a port that is never released keeps its worker for ever.
--------------------------- MODULE PoolNeverAbandons ---------------------------
EXTENDS WorkerPool

Never(w) == FALSE /\ w \in Workers
================================================================================
