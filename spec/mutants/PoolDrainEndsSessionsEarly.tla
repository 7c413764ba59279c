\* Rejected by DrainsLetSessionsEnd: a drained worker is stopped although its session is open.
---------------------- MODULE PoolDrainEndsSessionsEarly -----------------------
EXTENDS WorkerPool

IsIdle(w) == phase[w] = "Lingering"
================================================================================
