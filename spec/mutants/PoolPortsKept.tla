\* Rejected by ShutdownEnds: the port of an exited process is never released.
----------------------------- MODULE PoolPortsKept -----------------------------
EXTENDS WorkerPool

Some == \E w \in Workers : BackoffElapsed \/ StartEnds(w) \/ DrainElapsed(w) \/ NextRungIsTaken(w) \/ KillEnds(w)
================================================================================
