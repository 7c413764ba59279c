\* Rejected by FaultedNeverServes: a worker whose start has failed is kept until the start deadline.
--------------------------- MODULE FailedStartWaits ----------------------------
EXTENDS WorkerLifecycle

Mutant == [Table EXCEPT !["Initializing"]["StartFailed"] = Stale]
================================================================================
