\* Rejected by RollingChoosesAll: a rolling restart forgets busy workers.
------------------------ MODULE PoolRollingChoosesIdle -------------------------
EXTENDS WorkerPool

OnlyIdle == In({"Ready"}) \ replacing
================================================================================
