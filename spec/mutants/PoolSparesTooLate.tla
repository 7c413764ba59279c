\* Rejected by SparedHaveRetired: a worker that is to be replaced retires once two more serve than
\* must.
--------------------------- MODULE PoolSparesTooLate ---------------------------
EXTENDS WorkerPool

TwoMore == Count(In(Serving)) > size + 1
================================================================================
