\* Rejected by TerminatedIsFinal: a worker that has ended is started again in place.
-------------------------- MODULE TerminatedReopened ---------------------------
EXTENDS WorkerLifecycle

Mutant == [Table EXCEPT !["Terminated"]["Retire"] = "Initializing"]
================================================================================
