\* Rejected by SessionsNeverMove: a session silently moves to any ready worker.
--------------------------- MODULE PoolSessionMoved ----------------------------
EXTENDS WorkerPool

Anyone(c, w) == c \in Clients /\ phase[w] = "Ready"
================================================================================
