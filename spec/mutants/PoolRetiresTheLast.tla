\* Rejected by OnlySurplusRetires: a worker retires as surplus although the pool has no more than
\* its size.
-------------------------- MODULE PoolRetiresTheLast ---------------------------
EXTENDS WorkerPool

Suffices(w) == w \in Staff /\ Count(Staff) >= size /\ GoesFirst(w)
================================================================================
