\* Rejected by DrainingNeverServesAgain: a draining worker is ready again when its lease is
\* returned.
------------------------ MODULE PoolDrainingServesAgain ------------------------
EXTENDS WorkerPool

Mutant == [Table EXCEPT !["Finishing"]["Checkin"] = "Ready"]
================================================================================
