\* Rejected by DrainRefusesNoWaiter: a drain refuses clients that wait already.
------------------------ MODULE PoolDrainRefusesWaiters ------------------------
EXTENDS WorkerPool

RefusesAll == /\ intake = "Open"
              /\ intake' = "Draining" /\ size' = size /\ stage' = stage /\ ServedStays
              /\ queue' = << >> /\ leases' = leases
              /\ asked' = [c \in Clients |-> IF c \in Waiting THEN "nothing" ELSE asked[c]]
              /\ WorkersStay /\ SessionsStay /\ RestartsStay
================================================================================
