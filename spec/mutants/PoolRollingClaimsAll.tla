\* Rejected by RollingChoosesAll: a rolling restart counts workers as chosen that a limit has
\* marked.
------------------------- MODULE PoolRollingClaimsAll --------------------------
EXTENDS WorkerPool

ClaimsAll == /\ "Rolling" \in Happens /\ restart = "idle" /\ MayChoose
             /\ restart' = IF stage = "Open" THEN "rolling" ELSE "closed"
             /\ replacing' = replacing \cup Chosen /\ rolling' = In(Serving)
             /\ phase' = phase /\ rung' = rung /\ backoff' = backoff /\ failed' = failed
             /\ PortsStay /\ ClientsStay /\ SessionsStay /\ StateStays
================================================================================
