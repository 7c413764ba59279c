\* Rejected by TerminatedIsFinal: retiring a terminated worker starts it again.
-------------------------- MODULE TerminatedReopened ---------------------------
EXTENDS WorkerLifecycle

Mutant == [Table EXCEPT !["Terminated"]["Retire"] = "Initializing"]
================================================================================
