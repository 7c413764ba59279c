\* Rejected by ReplacingKeepsTheSize: a worker at its limit retires before its replacement is ready.
--------------------------- MODULE PoolRetiresFirst ----------------------------
EXTENDS WorkerPool

Enough == Count(In(Serving)) >= size
================================================================================
