\* Rejected by DrainsOnlyTheRetired: a worker that nobody has retired drains after its first lease.
-------------------------- MODULE CheckinBeginsDrain ---------------------------
EXTENDS WorkerLifecycle

Mutant == [Table EXCEPT !["Busy"]["Checkin"] = "Lingering"]
================================================================================
