\* Rejected by SurplusIsReleased: the surplus of a shrink keeps its ports for ever.
-------------------------- MODULE PoolShrinkForgotten --------------------------
EXTENDS WorkerPool

Never(w) == w \notin Workers
================================================================================
