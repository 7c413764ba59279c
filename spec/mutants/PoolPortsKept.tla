\* Rejected by ShutdownEnds: a port that has exited is never released.
----------------------------- MODULE PoolPortsKept -----------------------------
EXTENDS WorkerPool

Some == \E w \in Workers : CoolingEnds \/ StartEnds(w) \/ DrainElapsed(w) \/ NextRungIsTaken(w) \/ KillEnds(w)
================================================================================
