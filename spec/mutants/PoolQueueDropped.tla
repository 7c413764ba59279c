\* Rejected by WaitersAreToldWhy: whoever leaves the queue takes all others with it, and nobody tells them.
--------------------------- MODULE PoolQueueDropped ----------------------------
EXTENDS WorkerPool

AllLeave(c) == c \in Clients /\ queue' = << >>
================================================================================
