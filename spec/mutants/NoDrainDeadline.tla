\* Rejected by EveryDrainEnds: a drain has no deadline.
---------------------------- MODULE NoDrainDeadline ----------------------------
EXTENDS WorkerLifecycle

Mutant == [Deadlines EXCEPT !["Lingering"] = "none", !["Finishing"] = "none"]
================================================================================
