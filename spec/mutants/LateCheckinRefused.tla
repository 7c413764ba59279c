\* Rejected by NeverRefused: a client that gives its lease back after its worker has ended is told that it is wrong.
-------------------------- MODULE LateCheckinRefused ---------------------------
EXTENDS WorkerLifecycle

Mutant == [Table EXCEPT !["Terminated"]["Checkin"] = Refused]
================================================================================
