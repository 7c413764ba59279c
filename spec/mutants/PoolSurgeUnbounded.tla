\* Rejected by PortsHaveSlots: a worker is started without a free slot.
-------------------------- MODULE PoolSurgeUnbounded ---------------------------
EXTENDS WorkerPool

Anywhere == stage = "Open" /\ Count(Staff) + backoff < size
================================================================================
