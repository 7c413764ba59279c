\* Rejected by NeverRefused: a client gives its lease back after the worker was stopped, and the table says that it cannot.
------------------------ MODULE PoolLateCheckinRefused -------------------------
EXTENDS WorkerPool

Mutant == [Table EXCEPT !["Stopping"]["Checkin"] = Refused]
================================================================================
