\* Rejected by PortsFollow: the port of a worker that does not start in time counts as released.
------------------------ MODULE PoolTimedOutIsReleased -------------------------
EXTENDS WorkerPool

Forgotten(w) == MayFail(w) /\ Hear(w, "StartElapsed", "released") /\ Fails
================================================================================
