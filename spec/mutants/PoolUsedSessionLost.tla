\* Rejected by UsedSessionsAreServed: after its grace, a shutdown takes the worker from a session
\* with a call under way.
-------------------------- MODULE PoolUsedSessionLost --------------------------
EXTENDS WorkerPool

Unserved(s) == session[s] = "bound" /\ (phase[home[s]] \in Ending \/ stage = "Hurrying")
================================================================================
