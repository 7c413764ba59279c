\* Rejected by TheSizeIsRestored: a back-off does not end, and its position stays empty.
-------------------------- MODULE PoolBackoffEndless ---------------------------
EXTENDS WorkerPool

Some == \E w \in Workers : StartEnds(w) \/ DrainElapsed(w) \/ NextRungIsTaken(w) \/ KillEnds(w) \/ Released(w)
================================================================================
