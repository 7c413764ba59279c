\* Rejected by OnlyTheHopelessAreRefused: a client is refused although the queue has room for it.
------------------------- MODULE PoolQueueFullTooEarly -------------------------
EXTENDS WorkerPool

IsLast(c) == Len(queue) >= MaxWaiting /\ queue[Len(queue)] = c /\ AllMustWait
================================================================================
