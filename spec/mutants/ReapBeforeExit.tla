\* Rejected by ReapsOnlyTheExited: a process that survives SIGKILL for a while is reaped alive.
---------------------------- MODULE ReapBeforeExit -----------------------------
EXTENDS WorkerLifecycle

Mutant == [NextRungs EXCEPT !["Kill"] = "Reap"]
================================================================================
