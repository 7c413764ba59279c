\* Rejected by BackoffsHaveVacancies: a backoff goes on although a kept worker fills its vacancy.
---------------------------- MODULE PoolBackoffKept ----------------------------
EXTENDS WorkerPool

Never == FALSE
================================================================================
