\* Rejected by PausedTakesNoNewcomer: a paused pool takes newcomers.
------------------------ MODULE PoolPauseTakesNewcomers ------------------------
EXTENDS WorkerPool

WhileOpen == stage = "Open"
================================================================================
