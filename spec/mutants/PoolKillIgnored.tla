\* Rejected by EveryStopEnds: a worker may survive SIGKILL.
---------------------------- MODULE PoolKillIgnored ----------------------------
EXTENDS WorkerPool

Some == \E w \in Workers : BackoffElapsed \/ StartEnds(w) \/ DrainElapsed(w) \/ NextRungIsTaken(w) \/ Released(w)
================================================================================
