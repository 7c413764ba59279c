\* Rejected by EveryStartEnds: a start may take for ever.
----------------------- MODULE PoolStartWithoutDeadline ------------------------
EXTENDS WorkerPool

Some == \E w \in Workers : CoolingEnds \/ DrainElapsed(w) \/ NextRungIsTaken(w) \/ KillEnds(w) \/ Released(w)
================================================================================
