\* Rejected by FaultedNeverServes: a worker that was found faulty serves again.
--------------------------- MODULE PoolFaultyServes ----------------------------
EXTENDS WorkerPool

Mutant == [Table EXCEPT !["Busy"]["Fault"] = "Ready"]
================================================================================
