\* Rejected by GrantsAreEarned: a call is cancelled although its worker is being stopped.
-------------------------- MODULE PoolCancelsTooLate ---------------------------
EXTENDS WorkerPool

Always(c, w) == /\ << c, w >> \in leases
                /\ leases' = (leases \ {<< c, w >>}) \cup {<< Canceller, w >>}
                /\ asked' = [asked EXCEPT ![c] = "nothing"]
                /\ queue' = queue
                /\ WorkersStay /\ SessionsStay /\ PoolStays
================================================================================
