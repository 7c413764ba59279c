\* Rejected by EveryExitIsNoticed: a worker that dies while it starts is not given up.
-------------------------- MODULE ExitIgnoredAtStart ---------------------------
EXTENDS WorkerLifecycle

Mutant == [Table EXCEPT !["Initializing"]["Exited"] = Stale]
================================================================================
