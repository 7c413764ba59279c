\* Rejected by NoSurplus: a pool that shrank keeps all its workers.
---------------------------- MODULE PoolSurplusKept ----------------------------
EXTENDS WorkerPool

Never(w) == w \notin Workers
================================================================================
