\* Rejected by ShutdownDrains: a shutdown is never reported as drained.
------------------------- MODULE PoolShutdownUndrained -------------------------
EXTENDS WorkerPool

Never == stage = "Shut"
================================================================================
