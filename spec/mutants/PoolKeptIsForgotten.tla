\* Rejected by RollingFollowsAll: a kept worker is no longer counted as chosen.
-------------------------- MODULE PoolKeptIsForgotten --------------------------
EXTENDS WorkerPool

Forgets(w) == /\ IsKept(w)
              /\ replacing' = replacing \ {w} /\ rolling' = rolling \ {w}
              /\ phase' = phase /\ rung' = rung
              /\ PortsStay /\ ClientsStay /\ SessionsStay /\ PoolStays
================================================================================
