\* Rejected by DrainEndsWithSessions: a drain without sessions lasts until its deadline.
-------------------------- MODULE DrainAwaitsDeadline --------------------------
EXTENDS WorkerLifecycle

Mutant == [Table EXCEPT !["Lingering"]["SessionsEnded"] = Stale]
================================================================================
