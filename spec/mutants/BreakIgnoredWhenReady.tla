\* Rejected by EveryBreakIsNoticed: an idle worker that talks nonsense stays on offer.
------------------------- MODULE BreakIgnoredWhenReady -------------------------
EXTENDS WorkerLifecycle

Mutant == [Table EXCEPT !["Ready"]["Fault"] = Stale]
================================================================================
