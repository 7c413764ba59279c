\* Rejected by StoppedRollingKeeps: a stopped rolling restart replaces its other workers all the
\* same.
-------------------------- MODULE PoolKeptIsReplaced ---------------------------
EXTENDS WorkerPool

Never(w) == w \notin Workers
WithoutKeeping(end) == \/ end = "Completed"   /\ restart = "rolling" /\ rolling = {}
                       \/ end = "StartFailed" /\ restart = "failed"
                       \/ end = "Closed"      /\ restart = "closed"
================================================================================
