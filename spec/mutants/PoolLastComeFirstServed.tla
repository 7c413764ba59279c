\* Rejected by FirstComeFirstServed: the queue is served from its end.
------------------------ MODULE PoolLastComeFirstServed ------------------------
EXTENDS WorkerPool

LastOf(c, w) == c \in Waiting /\ MayHave(c, w) /\ \A d \in Waiting : MayHave(d, w) => Place(c) >= Place(d)
================================================================================
