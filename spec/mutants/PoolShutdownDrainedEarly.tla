\* Rejected by ShutdownDrainsBeforeStopping: a shutdown is reported as drained while a worker
\* drains.
----------------------- MODULE PoolShutdownDrainedEarly ------------------------
EXTENDS WorkerPool

AtOnce == stage = "Draining"
================================================================================
