\* Rejected by RetireIsHeeded: a worker that is retired a second time is stopped before its sessions have ended.
--------------------------- MODULE RetireTwiceStops ----------------------------
EXTENDS WorkerLifecycle

Mutant == [Table EXCEPT !["Lingering"]["Retire"] = "Stopping"]
================================================================================
