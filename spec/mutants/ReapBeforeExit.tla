\* Rejected by ReapsOnlyTheExited: a process that takes long to die is reaped while it lives.
---------------------------- MODULE ReapBeforeExit -----------------------------
EXTENDS WorkerLifecycle

Mutant == [NextRungs EXCEPT !["Kill"] = "Reap"]
================================================================================
