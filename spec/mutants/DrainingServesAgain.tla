\* Rejected by DrainingNeverServesAgain: a draining worker serves again after its lease.
-------------------------- MODULE DrainingServesAgain --------------------------
EXTENDS WorkerLifecycle

Mutant == [Table EXCEPT !["Finishing"]["Checkin"] = "Ready"]
================================================================================
