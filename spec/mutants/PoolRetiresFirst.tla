\* Rejected by LimitsKeepTheSize: a worker at its limit is retired before its replacement serves, which is started only then.
--------------------------- MODULE PoolRetiresFirst ----------------------------
EXTENDS WorkerPool

Enough == Count(In(Serving)) >= size
================================================================================
