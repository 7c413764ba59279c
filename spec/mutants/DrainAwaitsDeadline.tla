\* Rejected by DrainEndsWithSessions: a draining worker waits for its deadline when nobody needs it any more.
-------------------------- MODULE DrainAwaitsDeadline --------------------------
EXTENDS WorkerLifecycle

Mutant == [Table EXCEPT !["Lingering"]["SessionsEnded"] = Stale]
================================================================================
