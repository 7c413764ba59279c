\* Rejected by PortsHavePlaces: a worker is started where there is no place for it.
-------------------------- MODULE PoolSurgeUnbounded ---------------------------
EXTENDS WorkerPool

Anywhere == stage = "Open" /\ Count(Staff) + cooling < size
================================================================================
