\* Rejected by EveryClientIsAnswered: when a client leaves the queue, the others leave it
\* unanswered.
--------------------------- MODULE PoolQueueDropped ----------------------------
EXTENDS WorkerPool

AllLeave(c) == c \in Clients /\ queue' = << >>
================================================================================
