\* Rejected by NeverRefused: returning a lease after its worker terminated is an error.
-------------------------- MODULE LateCheckinRefused ---------------------------
EXTENDS WorkerLifecycle

Mutant == [Table EXCEPT !["Terminated"]["Checkin"] = Refused]
================================================================================
