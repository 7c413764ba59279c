\* Rejected by NeverRefused: the table refuses a lease that is returned late.
------------------------ MODULE PoolLateCheckinRefused -------------------------
EXTENDS WorkerPool

Mutant == [Table EXCEPT !["Stopping"]["Checkin"] = Refused]
================================================================================
