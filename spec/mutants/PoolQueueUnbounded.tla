\* Rejected by QueueIsBounded: no client is refused for a full queue.
-------------------------- MODULE PoolQueueUnbounded ---------------------------
EXTENDS WorkerPool

Never(c) == c \notin Clients
================================================================================
