\* Rejected by ReleasedIsTerminated: the release of its port does not end a worker.
---------------------------- MODULE ReleaseIgnored -----------------------------
EXTENDS WorkerLifecycle

Mutant == [Table EXCEPT !["Stopping"]["Released"] = Stale]
================================================================================
