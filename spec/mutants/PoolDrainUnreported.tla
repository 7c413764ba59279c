\* Rejected by DrainsEnd: the end of a drain is never reported.
-------------------------- MODULE PoolDrainUnreported --------------------------
EXTENDS WorkerPool

Never == stage = "Shut"
================================================================================
