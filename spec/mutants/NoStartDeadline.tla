\* Rejected by EveryStartEnds: a start has no deadline.
---------------------------- MODULE NoStartDeadline ----------------------------
EXTENDS WorkerLifecycle

Mutant == [Deadlines EXCEPT !["Initializing"] = "none"]
================================================================================
