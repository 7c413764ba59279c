\* Rejected by LeaseMatchesPhase: a worker is ready for other clients while it still cancels a call.
------------------------- MODULE PoolCancelFreesWorker -------------------------
EXTENDS WorkerPool

FreesWorker(c, w) == /\ << c, w >> \in leases /\ phase[w] \notin Ending
                     /\ React(w, "Checkin")
                     /\ leases' = (leases \ {<< c, w >>}) \cup {<< Canceller, w >>}
                     /\ asked' = [asked EXCEPT ![c] = "nothing"]
                     /\ queue' = queue
                     /\ PortsStay /\ SessionsStay /\ PoolStays
================================================================================
