\* Rejected by LeaseMatchesPhase: a returned worker stays busy.
------------------------- MODULE PoolCheckinStaysBusy --------------------------
EXTENDS WorkerPool

Mutant == [Table EXCEPT !["Busy"]["Checkin"] = "Busy"]
================================================================================
