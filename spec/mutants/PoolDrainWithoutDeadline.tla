\* Rejected by EveryDrainEnds: a worker may drain for ever.
----------------------- MODULE PoolDrainWithoutDeadline ------------------------
EXTENDS WorkerPool

Some == \E w \in Workers : BackoffElapsed \/ StartEnds(w) \/ NextRungIsTaken(w) \/ KillEnds(w) \/ Released(w)
================================================================================
