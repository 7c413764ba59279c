\* Rejected by ClosingRefusesWaiters: a shutdown leaves clients waiting for a worker.
------------------------ MODULE PoolClosingKeepsWaiters ------------------------
EXTENDS WorkerPool

OnlyInCrashLoop(c) == HomeOf(c) = 0 /\ InCrashLoop
================================================================================
