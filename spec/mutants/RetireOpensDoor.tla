\* Rejected by ServesOnlyOpened: a worker that is retired while it starts lingers, though it has never answered.
---------------------------- MODULE RetireOpensDoor ----------------------------
EXTENDS WorkerLifecycle

Mutant == [Table EXCEPT !["Initializing"]["Retire"] = "Lingering"]
================================================================================
