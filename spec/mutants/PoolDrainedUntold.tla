\* Rejected by DrainIsSaid: nobody is told that a paused pool has no clients left.
--------------------------- MODULE PoolDrainedUntold ---------------------------
EXTENDS WorkerPool

Never == stage = "Shut"
================================================================================
