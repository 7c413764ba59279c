\* Rejected by EveryDrainEnds: the drain deadline waits for a client that never gives its lease back.
-------------------------- MODULE DrainWaitsForLease ---------------------------
EXTENDS WorkerLifecycle

Mutant == [Table EXCEPT !["Finishing"]["DrainElapsed"] = Stale]
================================================================================
