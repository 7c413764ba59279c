\* Rejected by ShutdownStopsNoCall: a shutdown stops busy workers in the middle of their calls.
------------------------ MODULE PoolShutdownStopsCalls -------------------------
EXTENDS WorkerPool

Reason(w) == IF phase[w] = "Busy" THEN "Fault" ELSE "Retire"

StopsAll == /\ "Shutdown" \in Happens /\ stage = "Open"
            /\ stage' = "Draining"
            /\ phase' = [w \in Workers |-> IF w \in ToRetire THEN Target(w, Reason(w)) ELSE phase[w]]
            /\ rung' = [w \in Workers |-> IF w \in ToRetire THEN RungAfter(w, Reason(w)) ELSE rung[w]]
            /\ replacing' = {} /\ rolling' = {}
            /\ session' = [s \in Sessions |-> IF session[s] = "unbound" THEN "closed" ELSE session[s]]
            /\ home' = home
            /\ backoff' = 0 /\ failed' = failed
            /\ restart' = IF restart = "rolling" THEN "closed" ELSE restart
            /\ size' = size /\ intake' = intake /\ ServedStays
            /\ PortsStay /\ ClientsStay
================================================================================
