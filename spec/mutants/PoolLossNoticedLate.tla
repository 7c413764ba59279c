\* Rejected by SessionsHaveAWorker: a session keeps its stopped worker until the port is released.
-------------------------- MODULE PoolLossNoticedLate --------------------------
EXTENDS WorkerPool

IsGone(s) == session[s] = "bound" /\ phase[home[s]] = "Terminated"
================================================================================
