\* Rejected by FailedCancelStopsWorker: a worker that did not end its cancelled call serves on.
-------------------------- MODULE PoolCancelServesOn ---------------------------
EXTENDS WorkerPool

ServesOn(w) == Bearable(w) /\ EndLease(Canceller, w, "Checkin")
================================================================================
