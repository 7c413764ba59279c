\* Rejected by NeverRefused: who retires a worker that has ended a moment ago is told that it is wrong.
--------------------------- MODULE LateRetireRefused ---------------------------
EXTENDS WorkerLifecycle

Mutant == [Table EXCEPT !["Terminated"]["Retire"] = Refused]
================================================================================
