\* Rejected by LeasesAreHonoured: retirement stops a worker in the middle of a call.
-------------------------- MODULE RetireRevokesLease ---------------------------
EXTENDS WorkerLifecycle

Mutant == [Table EXCEPT !["Busy"]["Retire"] = "Stopping"]
================================================================================
