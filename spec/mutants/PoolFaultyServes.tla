\* Rejected by FaultedNeverServes: a worker serves on after a fault.
--------------------------- MODULE PoolFaultyServes ----------------------------
EXTENDS WorkerPool

Mutant == [Table EXCEPT !["Busy"]["Fault"] = "Ready"]
================================================================================
