\* Rejected by DrainingNeverServesAgain: a draining worker goes back to serving when its lease ends.
-------------------------- MODULE DrainingServesAgain --------------------------
EXTENDS WorkerLifecycle

Mutant == [Table EXCEPT !["Finishing"]["Checkin"] = "Ready"]
================================================================================
