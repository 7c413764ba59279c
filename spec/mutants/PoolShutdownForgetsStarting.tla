\* Rejected by ShutdownForgetsNobody: a shutdown forgets a worker that is starting.
---------------------- MODULE PoolShutdownForgetsStarting ----------------------
EXTENDS WorkerPool

TheStarted == Occupied \ In({"Initializing"})
================================================================================
