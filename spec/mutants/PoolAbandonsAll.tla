\* Rejected by AbandonedAreBounded: any number of ports may be abandoned at a time.
---------------------------- MODULE PoolAbandonsAll ----------------------------
EXTENDS WorkerPool

Unbounded(w) == rung[w] \in LastRungs
================================================================================
