\* Rejected by LeaseMatchesPhase: a leased worker that is retired drains as if it were idle.
-------------------------- MODULE RetireForgetsLease ---------------------------
EXTENDS WorkerLifecycle

Mutant == [Table EXCEPT !["Busy"]["Retire"] = "Lingering"]
================================================================================
