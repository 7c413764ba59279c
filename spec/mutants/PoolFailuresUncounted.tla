\* Rejected by FailedStartsAreCounted: failed starts are not counted.
------------------------- MODULE PoolFailuresUncounted -------------------------
EXTENDS WorkerPool

Uncounted == FailsAs(failed)
================================================================================
