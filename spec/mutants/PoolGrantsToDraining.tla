\* Rejected by GrantsAreEarned: a draining worker is granted to a client without a session there.
------------------------- MODULE PoolGrantsToDraining --------------------------
EXTENDS WorkerPool

EvenDraining(c, w) == phase[w] \in {"Ready", "Lingering"} /\ HomeOf(c) \in {0, w}
================================================================================
