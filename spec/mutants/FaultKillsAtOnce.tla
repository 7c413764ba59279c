\* Rejected by KillComesAfterTerm: a faulty worker gets SIGKILL without SIGTERM.
--------------------------- MODULE FaultKillsAtOnce ----------------------------
EXTENDS WorkerLifecycle

Mutant == [EntryRungs EXCEPT !["Fault"] = "Kill"]
================================================================================
