\* Rejected by RetireIsHeeded: a second retirement stops a worker before its sessions end.
--------------------------- MODULE RetireTwiceStops ----------------------------
EXTENDS WorkerLifecycle

Mutant == [Table EXCEPT !["Lingering"]["Retire"] = "Stopping"]
================================================================================
