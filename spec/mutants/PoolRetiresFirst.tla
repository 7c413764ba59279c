\* Rejected by LimitsKeepTheSize: a worker at its limit is retired before its replacement serves.
--------------------------- MODULE PoolRetiresFirst ----------------------------
EXTENDS WorkerPool

Enough == Count(In(Serving)) >= size
================================================================================
