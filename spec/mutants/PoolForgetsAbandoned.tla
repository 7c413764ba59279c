\* Rejected by AbandonedAreReleased: the host no longer waits for the exit of an abandoned process.
------------------------- MODULE PoolForgetsAbandoned --------------------------
EXTENDS WorkerPool

OnlyKilled(w) == rung[w] = "Kill" /\ ExitedAtStop(w)
================================================================================
