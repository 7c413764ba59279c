\* Rejected by EveryDrainEnds: a drain may take for ever.
----------------------- MODULE PoolDrainWithoutDeadline ------------------------
EXTENDS WorkerPool

Some == \E w \in Workers : CoolingEnds \/ StartEnds(w) \/ NextRungIsTaken(w) \/ KillEnds(w) \/ Released(w)
================================================================================
