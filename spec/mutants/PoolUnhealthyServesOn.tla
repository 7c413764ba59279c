\* Rejected by UnhealthyRetires: a worker that reports itself unhealthy too often serves the next
\* client.
------------------------- MODULE PoolUnhealthyServesOn -------------------------
EXTENDS WorkerPool

ServesOn(w) == /\ Bearable(w) /\ phase[w] = "Busy" /\ << Monitor, w >> \in leases
               /\ EndLease(Monitor, w, "Checkin")
================================================================================
