\* Rejected by SessionsInUseDoNotExpire: a session expires while a client holds a lease for it.
------------------------ MODULE PoolUsedSessionExpires -------------------------
EXTENDS WorkerPool

AnyExpires(s) == EndSession(s)
================================================================================
