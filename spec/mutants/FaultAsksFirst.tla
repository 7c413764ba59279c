\* Rejected by StopsBeginAtTheirRung: a faulty worker gets the shutdown frame, which it may not
\* understand.
---------------------------- MODULE FaultAsksFirst -----------------------------
EXTENDS WorkerLifecycle

Mutant == [EntryRungs EXCEPT !["Fault"] = "Ask"]
================================================================================
