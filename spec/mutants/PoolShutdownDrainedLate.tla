\* Rejected by ShutdownWaitsForDraining: a shutdown is reported as drained only once no worker is
\* left.
------------------------ MODULE PoolShutdownDrainedLate ------------------------
EXTENDS WorkerPool

NoneIsLeft == stage \in {"Draining", "Hurrying"} /\ Occupied = {}
================================================================================
