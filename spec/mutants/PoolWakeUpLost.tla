\* Rejected by NoClientWaitsBesideIdle: a worker that becomes ready while two clients wait is
\* granted to neither.
---------------------------- MODULE PoolWakeUpLost -----------------------------
EXTENDS WorkerPool

OnlyOne(c, w) == phase[w] = "Ready" /\ HomeOf(c) \in {0, w} /\ Len(queue) = 1
================================================================================
