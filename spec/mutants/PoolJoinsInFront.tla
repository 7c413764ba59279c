\* Rejected by ClientsJoinAtTheEnd: a client joins in front of those that wait already.
--------------------------- MODULE PoolJoinsInFront ----------------------------
EXTENDS WorkerPool

JoinsInFront(c, what) == /\ queue' = << c >> \o queue
                         /\ asked' = [asked EXCEPT ![c] = what]
                         /\ leases' = leases
                         /\ WorkersStay /\ SessionsStay /\ PoolStays
================================================================================
