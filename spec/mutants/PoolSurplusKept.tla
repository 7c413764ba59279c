\* Rejected by NoSurplus: a pool that was made smaller keeps all its workers.
---------------------------- MODULE PoolSurplusKept ----------------------------
EXTENDS WorkerPool

Nobody(w) == w \notin Workers
================================================================================
