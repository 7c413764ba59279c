\* Rejected by ShutdownRetiresAll: a shutdown forgets a starting worker.
---------------------- MODULE PoolShutdownForgetsStarting ----------------------
EXTENDS WorkerPool

TheStarted == Occupied \ In({"Initializing"})
================================================================================
