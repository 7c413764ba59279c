\* Rejected by BusyRetireLast: a shrink retires any worker.
------------------------- MODULE PoolRetiresBusyFirst --------------------------
EXTENDS WorkerPool

First(w) == w \in Staff
================================================================================
