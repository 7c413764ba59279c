\* Rejected by SurplusIsShut: what a shrink left has its ports for ever.
-------------------------- MODULE PoolShrinkForgotten --------------------------
EXTENDS WorkerPool

Nobody(w) == w \notin Workers
================================================================================
