\* Rejected by EveryWaiterIsAnswered: a call may take for ever, and keeps its worker.
------------------------ MODULE PoolCallsWithoutTimeout ------------------------
EXTENDS WorkerPool

Perhaps(c) == c \notin Clients /\ GiveUp(c)
================================================================================
