\* Rejected by ExitsAreReaped: an exit during the start is ignored.
-------------------------- MODULE ExitIgnoredAtStart ---------------------------
EXTENDS WorkerLifecycle

Mutant == [Table EXCEPT !["Initializing"]["Exited"] = Stale]
================================================================================
