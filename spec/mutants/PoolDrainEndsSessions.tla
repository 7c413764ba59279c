\* Rejected by DrainStopsNothing: a drain ends sessions that no lease has bound yet.
------------------------- MODULE PoolDrainEndsSessions -------------------------
EXTENDS WorkerPool

EndsUnbound(to) == /\ intake' = to
                   /\ session' = [s \in Sessions |-> IF session[s] = "unbound" THEN "closed" ELSE session[s]]
                   /\ home' = home
                   /\ size' = size /\ stage' = stage /\ ServedStays
                   /\ WorkersStay /\ ClientsStay /\ RestartsStay
================================================================================
