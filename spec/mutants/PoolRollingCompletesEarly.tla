\* Rejected by CompletedKeepsNone: a rolling restart is reported as completed while a chosen worker
\* still serves.
----------------------- MODULE PoolRollingCompletesEarly -----------------------
EXTENDS WorkerPool

Early(end) == \/ end = "Completed"   /\ restart = "rolling"
              \/ end = "StartFailed" /\ restart = "failed" /\ rolling \cap replacing = {}
              \/ end = "Closed"      /\ restart = "closed"
================================================================================
