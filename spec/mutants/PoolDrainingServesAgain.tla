\* Rejected by DrainingNeverServesAgain: a draining worker is on offer again when its lease is given back.
------------------------ MODULE PoolDrainingServesAgain ------------------------
EXTENDS WorkerPool

Mutant == [Table EXCEPT !["Finishing"]["Checkin"] = "Ready"]
================================================================================
