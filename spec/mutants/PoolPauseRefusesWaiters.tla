\* Rejected by PauseRefusesNobody: a pause refuses those who wait already.
------------------------ MODULE PoolPauseRefusesWaiters ------------------------
EXTENDS WorkerPool

PauseForAll == /\ intake = "Open"
               /\ intake' = "Paused" /\ size' = size /\ stage' = stage
               /\ queue' = << >> /\ leases' = leases
               /\ asked' = [c \in Clients |-> IF c \in Waiting THEN "nothing" ELSE asked[c]]
               /\ WorkersStay /\ SessionsStay /\ RestartsStay
================================================================================
