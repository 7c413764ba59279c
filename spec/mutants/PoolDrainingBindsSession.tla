\* Rejected by NewSessionsGetReadyWorkers: a draining worker that still has a session gets another
\* one.
----------------------- MODULE PoolDrainingBindsSession ------------------------
EXTENDS WorkerPool

AnySession(c, w) == \/ phase[w] = "Ready"     /\ HomeOf(c) \in {0, w}
                    \/ phase[w] = "Lingering" /\ asked[c] \in Sessions /\ HomeOf(c) \in {0, w}
================================================================================
