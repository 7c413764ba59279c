\* Rejected by WaitsOnce: a client that is granted a lease stays in the queue and is answered again.
--------------------------- MODULE PoolAnswersTwice ----------------------------
EXTENDS WorkerPool

StaysQueued(c) == queue' = IF c \in Clients THEN queue ELSE << >>
================================================================================
