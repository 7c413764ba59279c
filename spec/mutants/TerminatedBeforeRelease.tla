\* Rejected by TerminatedIsReleased: a worker is terminated on exit, before its release.
------------------------ MODULE TerminatedBeforeRelease ------------------------
EXTENDS WorkerLifecycle

Mutant == [Table EXCEPT !["Stopping"]["Exited"] = "Terminated"]
================================================================================
