\* Rejected by FaultedNeverServes: a worker whose call broke off in the middle goes to the next client.
------------------------- MODULE FaultedLeaseReturned --------------------------
EXTENDS WorkerLifecycle

Mutant == [Table EXCEPT !["Busy"]["Fault"] = "Ready"]
================================================================================
