\* Rejected by DrainsOnlyTheRetired: a worker drains after its first lease without being retired.
-------------------------- MODULE CheckinBeginsDrain ---------------------------
EXTENDS WorkerLifecycle

Mutant == [Table EXCEPT !["Busy"]["Checkin"] = "Lingering"]
================================================================================
