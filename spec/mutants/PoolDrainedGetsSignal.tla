\* Rejected by StopsBeginAtTheirRung: a drained worker gets SIGTERM instead of the shutdown frame.
------------------------- MODULE PoolDrainedGetsSignal -------------------------
EXTENDS WorkerPool

Signals == [EntryRungs EXCEPT !["SessionsEnded"] = "Term"]
================================================================================
