\* Rejected by EveryBreakIsNoticed: an idle worker that breaks the protocol stays available.
------------------------- MODULE BreakIgnoredWhenReady -------------------------
EXTENDS WorkerLifecycle

Mutant == [Table EXCEPT !["Ready"]["Fault"] = Stale]
================================================================================
