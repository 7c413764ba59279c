\* Rejected by EveryStartEnds: a start may take for ever.
----------------------- MODULE PoolStartWithoutDeadline ------------------------
EXTENDS WorkerPool

Some == \E w \in Workers : BackoffElapsed \/ DrainElapsed(w) \/ NextRungIsTaken(w) \/ KillEnds(w) \/ Released(w)
================================================================================
