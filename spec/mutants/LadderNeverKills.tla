\* Rejected by EveryStopEnds: SIGTERM is repeated forever to a process that ignores it.
--------------------------- MODULE LadderNeverKills ----------------------------
EXTENDS WorkerLifecycle

Mutant == [NextRungs EXCEPT !["Term"] = "Term"]
================================================================================
