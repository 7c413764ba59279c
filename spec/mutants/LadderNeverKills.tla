\* Rejected by EveryStopEnds: a process that ignores SIGTERM is sent it for ever.
--------------------------- MODULE LadderNeverKills ----------------------------
EXTENDS WorkerLifecycle

Mutant == [NextRungs EXCEPT !["Term"] = "Term"]
================================================================================
