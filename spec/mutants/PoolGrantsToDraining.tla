\* Rejected by GrantsAreEarned: a draining worker is leased to a client that has no session there.
------------------------- MODULE PoolGrantsToDraining --------------------------
EXTENDS WorkerPool

EvenDraining(c, w) == phase[w] \in {"Ready", "Lingering"} /\ HomeOf(c) \in {0, w}
================================================================================
