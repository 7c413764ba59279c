\* Rejected by RetireIsHeeded: a worker that is retired while leased goes on serving.
------------------------- MODULE RetireIgnoredWhenBusy -------------------------
EXTENDS WorkerLifecycle

Mutant == [Table EXCEPT !["Busy"]["Retire"] = Stale]
================================================================================
