\* Rejected by LeasesAreHonoured: the end of its sessions stops a leased worker.
--------------------------- MODULE SessionsEndLease ----------------------------
EXTENDS WorkerLifecycle

Mutant == [Table EXCEPT !["Finishing"]["SessionsEnded"] = "Stopping"]
================================================================================
