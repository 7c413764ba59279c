\* Rejected by RetireIsHeeded: a leased worker ignores its retirement.
------------------------- MODULE RetireIgnoredWhenBusy -------------------------
EXTENDS WorkerLifecycle

Mutant == [Table EXCEPT !["Busy"]["Retire"] = Stale]
================================================================================
