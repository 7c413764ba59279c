\* Rejected by TheSizeIsRestored: a backoff never elapses, and its vacancy stays empty.
-------------------------- MODULE PoolBackoffEndless ---------------------------
EXTENDS WorkerPool

Some == \E w \in Workers : StartEnds(w) \/ DrainElapsed(w) \/ NextRungIsTaken(w) \/ KillEnds(w) \/ Released(w)
================================================================================
