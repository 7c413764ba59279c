\* Rejected by EveryExitIsNoticed: an idle worker that dies stays on offer.
------------------------- MODULE ExitIgnoredWhenReady --------------------------
EXTENDS WorkerLifecycle

Mutant == [Table EXCEPT !["Ready"]["Exited"] = Stale]
================================================================================
