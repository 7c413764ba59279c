\* Rejected by EveryRollingEnds: the end of a rolling restart is never reported.
------------------------- MODULE PoolRollingUnreported -------------------------
EXTENDS WorkerPool

Never(end) == end \notin RollingEnds
================================================================================
