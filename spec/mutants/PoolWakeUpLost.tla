\* Rejected by NobodyWaitsBesideIdle: a worker that becomes ready while two clients wait wakes neither.
---------------------------- MODULE PoolWakeUpLost -----------------------------
EXTENDS WorkerPool

OnlyOne(c, w) == phase[w] = "Ready" /\ HomeOf(c) \in {0, w} /\ Len(queue) = 1
================================================================================
