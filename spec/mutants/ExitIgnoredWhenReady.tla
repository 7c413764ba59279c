\* Rejected by EveryExitIsNoticed: an idle worker whose process exited stays available.
------------------------- MODULE ExitIgnoredWhenReady --------------------------
EXTENDS WorkerLifecycle

Mutant == [Table EXCEPT !["Ready"]["Exited"] = Stale]
================================================================================
