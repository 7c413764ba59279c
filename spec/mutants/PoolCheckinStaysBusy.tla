\* Rejected by LeaseMatchesPhase: a worker that was given back is not on offer again.
------------------------- MODULE PoolCheckinStaysBusy --------------------------
EXTENDS WorkerPool

Mutant == [Table EXCEPT !["Busy"]["Checkin"] = "Busy"]
================================================================================
