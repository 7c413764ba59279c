\* Rejected by TerminatedIsReleased: a worker ends when its port has exited, not when it is released.
------------------------- MODULE PoolEndsBeforeRelease -------------------------
EXTENDS WorkerPool

Mutant == [Table EXCEPT !["Stopping"]["Exited"] = "Terminated"]
================================================================================
