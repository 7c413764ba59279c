\* Rejected by EveryCancelEnds: a cancelled call may take for ever.
------------------------ MODULE PoolCancelWithoutGrace -------------------------
EXTENDS WorkerPool

Never(w) == w \notin Workers /\ CancelEnds(w)
================================================================================
