\* Rejected by DrainsEndWithSessions: a drained worker waits for its deadline.
------------------------ MODULE PoolDrainAwaitsDeadline ------------------------
EXTENDS WorkerPool

Never(w) == w \notin Workers
================================================================================
