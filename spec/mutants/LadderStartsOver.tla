\* Rejected by LadderOnlyRises: a process that takes long to die is sent SIGTERM again.
--------------------------- MODULE LadderStartsOver ----------------------------
EXTENDS WorkerLifecycle

Mutant == [NextRungs EXCEPT !["Kill"] = "Term"]
================================================================================
