\* Rejected by NoClientWaitsInCrashLoop: a waiting client is not refused in a crash loop.
-------------------------- MODULE PoolCrashLoopSilent --------------------------
EXTENDS WorkerPool

OnlyWhenClosing(c) == HomeOf(c) = 0 /\ stage # "Open"
================================================================================
