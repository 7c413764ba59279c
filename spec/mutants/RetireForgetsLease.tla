\* Rejected by LeaseMatchesPhase: a worker that is retired while leased drains as if it were idle.
-------------------------- MODULE RetireForgetsLease ---------------------------
EXTENDS WorkerLifecycle

Mutant == [Table EXCEPT !["Busy"]["Retire"] = "Lingering"]
================================================================================
