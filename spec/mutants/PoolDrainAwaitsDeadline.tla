\* Rejected by DrainsEndWithSessions: a drain that nothing holds back waits for its deadline.
------------------------ MODULE PoolDrainAwaitsDeadline ------------------------
EXTENDS WorkerPool

Never(w) == w \notin Workers
================================================================================
