\* Rejected by NobodyWaitsInVain: a waiter is left behind in a crash loop.
-------------------------- MODULE PoolCrashLoopSilent --------------------------
EXTENDS WorkerPool

OnlyWhenClosing(c) == HomeOf(c) = 0 /\ stage # "Open"
================================================================================
