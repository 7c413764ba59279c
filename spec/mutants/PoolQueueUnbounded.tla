\* Rejected by QueueIsBounded: nobody is refused because too many wait.
-------------------------- MODULE PoolQueueUnbounded ---------------------------
EXTENDS WorkerPool

Nobody(c) == c \notin Clients
================================================================================
