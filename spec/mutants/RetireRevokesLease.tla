\* Rejected by LeasesAreHonoured: a worker that is retired while leased is stopped in the middle of a call.
-------------------------- MODULE RetireRevokesLease ---------------------------
EXTENDS WorkerLifecycle

Mutant == [Table EXCEPT !["Busy"]["Retire"] = "Stopping"]
================================================================================
