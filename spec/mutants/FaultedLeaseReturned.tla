\* Rejected by FaultedNeverServes: a worker is granted again after a call broke off on it.
------------------------- MODULE FaultedLeaseReturned --------------------------
EXTENDS WorkerLifecycle

Mutant == [Table EXCEPT !["Busy"]["Fault"] = "Ready"]
================================================================================
