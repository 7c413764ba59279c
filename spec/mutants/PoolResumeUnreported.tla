\* Rejected by EveryDrainIsReported: a drain that is resumed before its end is never reported.
------------------------- MODULE PoolResumeUnreported --------------------------
EXTENDS WorkerPool

Silently == intake # "Open" /\ SetIntake("Open")
================================================================================
