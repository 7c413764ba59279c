\* Rejected by ClosingPlansNothing: a shutdown keeps the sessions that no worker was found for.
----------------------- MODULE PoolShutdownKeepsUnbound ------------------------
EXTENDS WorkerPool

KeepsAll == /\ "Shutdown" \in Happens /\ stage = "Open"
            /\ stage' = "Draining"
            /\ phase' = [w \in Workers |-> IF w \in ToRetire THEN Target(w, "Retire") ELSE phase[w]]
            /\ rung' = [w \in Workers |-> IF w \in ToRetire THEN RungAfter(w, "Retire") ELSE rung[w]]
            /\ replacing' = {} /\ rolling' = {}
            /\ session' = session
            /\ home' = home
            /\ backoff' = 0 /\ failed' = failed
            /\ restart' = IF restart = "rolling" THEN "closed" ELSE restart
            /\ size' = size /\ intake' = intake /\ ServedStays
            /\ PortsStay /\ ClientsStay
================================================================================
