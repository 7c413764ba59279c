\* Rejected by StartsAreBounded: all missing workers start at the same time.
----------------------------- MODULE PoolStartsAll -----------------------------
EXTENDS WorkerPool

AllAtOnce == stage = "Open" /\ Count(Staff) + backoff < size /\ Count(Occupied) < size + Surge
================================================================================
