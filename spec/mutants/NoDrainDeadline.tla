\* Rejected by EveryDrainEnds: nothing limits how long clients and sessions may keep a draining worker.
---------------------------- MODULE NoDrainDeadline ----------------------------
EXTENDS WorkerLifecycle

Mutant == [Deadlines EXCEPT !["Lingering"] = "none", !["Finishing"] = "none"]
================================================================================
