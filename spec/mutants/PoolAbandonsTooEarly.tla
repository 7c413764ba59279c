\* Rejected by TerminatedIsReleased: a port is abandoned before its process was sent SIGKILL.
------------------------- MODULE PoolAbandonsTooEarly --------------------------
EXTENDS WorkerPool

AnyRung == RungSet
================================================================================
