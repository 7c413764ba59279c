\* Rejected by LadderOnlyRises: a process that survives SIGKILL for a while gets SIGTERM again.
--------------------------- MODULE LadderStartsOver ----------------------------
EXTENDS WorkerLifecycle

Mutant == [NextRungs EXCEPT !["Kill"] = "Term"]
================================================================================
