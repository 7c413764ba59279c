\* Rejected by StopsBeginAtTheirRung: a worker that broke the protocol gets the shutdown frame.
-------------------------- MODULE PoolFaultAsksFirst ---------------------------
EXTENDS WorkerPool

AsksFirst == [EntryRungs EXCEPT !["Fault"] = "Ask"]
================================================================================
