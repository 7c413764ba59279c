\* Rejected by OnlyTheHopelessAreRefused: failed starts have waiting clients refused while a worker
\* serves.
----------------------- MODULE PoolRefusesBesideServing ------------------------
EXTENDS WorkerPool

FailedOften == failed >= CrashLoop
================================================================================
