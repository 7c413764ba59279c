\* Rejected by SessionsNeverMove: a session is served by whoever is ready, and moves there silently.
--------------------------- MODULE PoolSessionMoved ----------------------------
EXTENDS WorkerPool

Anyone(c, w) == c \in Clients /\ phase[w] = "Ready"
================================================================================
