\* Rejected by FaultedNeverServes: a failed start is noticed only at the start deadline.
--------------------------- MODULE FailedStartWaits ----------------------------
EXTENDS WorkerLifecycle

Mutant == [Table EXCEPT !["Initializing"]["StartFailed"] = Stale]
================================================================================
