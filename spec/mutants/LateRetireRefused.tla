\* Rejected by NeverRefused: retiring a worker that has just terminated is an error.
--------------------------- MODULE LateRetireRefused ---------------------------
EXTENDS WorkerLifecycle

Mutant == [Table EXCEPT !["Terminated"]["Retire"] = Refused]
================================================================================
