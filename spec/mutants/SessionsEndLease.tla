\* Rejected by LeasesAreHonoured: a leased worker is stopped because the sessions beside its lease have ended.
--------------------------- MODULE SessionsEndLease ----------------------------
EXTENDS WorkerLifecycle

Mutant == [Table EXCEPT !["Finishing"]["SessionsEnded"] = "Stopping"]
================================================================================
