\* Rejected by ReleasedIsTerminated: a worker whose port is released keeps its slot.
-------------------------- MODULE PoolReleaseIgnored ---------------------------
EXTENDS WorkerPool

Mutant == [Table EXCEPT !["Stopping"]["Released"] = Stale]
================================================================================
