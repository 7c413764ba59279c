\* Rejected by EveryStopEnds: a worker may survive SIGKILL.
---------------------------- MODULE PoolKillIgnored ----------------------------
EXTENDS WorkerPool

Some == \E w \in Workers : CoolingEnds \/ StartEnds(w) \/ DrainElapsed(w) \/ NextRungIsTaken(w) \/ Released(w)
================================================================================
