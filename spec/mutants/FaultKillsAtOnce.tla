\* Rejected by KillComesAfterTerm: a faulty worker is killed without having been told to end.
--------------------------- MODULE FaultKillsAtOnce ----------------------------
EXTENDS WorkerLifecycle

Mutant == [EntryRungs EXCEPT !["Fault"] = "Kill"]
================================================================================
