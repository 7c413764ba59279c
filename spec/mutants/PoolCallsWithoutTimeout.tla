\* Rejected by EveryWaitEnds: a call may take for ever and keep its worker.
------------------------ MODULE PoolCallsWithoutTimeout ------------------------
EXTENDS WorkerPool

Maybe(c) == c \notin Clients /\ GiveUp(c)
================================================================================
