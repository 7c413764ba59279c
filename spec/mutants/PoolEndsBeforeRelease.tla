\* Rejected by TerminatedIsReleased: a worker ends when its process exits, not when its port is
\* released.
------------------------- MODULE PoolEndsBeforeRelease -------------------------
EXTENDS WorkerPool

Mutant == [Table EXCEPT !["Stopping"]["Exited"] = "Terminated"]
================================================================================
