\* Rejected by EveryDrainEnds: the drain deadline waits for a lease that is never returned.
-------------------------- MODULE DrainWaitsForLease ---------------------------
EXTENDS WorkerLifecycle

Mutant == [Table EXCEPT !["Finishing"]["DrainElapsed"] = Stale]
================================================================================
