\* Rejected by UsedSessionsAreServed: a shutdown takes the worker from an idle session at once.
----------------------- MODULE PoolSessionsWithoutGrace ------------------------
EXTENDS WorkerPool

AtOnce(s) == session[s] = "bound" /\ (phase[home[s]] \in Ending \/ (stage # "Open" /\ IsUnused(s)))
================================================================================
