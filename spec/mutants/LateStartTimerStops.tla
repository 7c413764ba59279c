\* Rejected by LateTimersAreHarmless: a cancelled start timer stops a busy worker.
-------------------------- MODULE LateStartTimerStops --------------------------
EXTENDS WorkerLifecycle

Mutant == [Table EXCEPT !["Busy"]["StartElapsed"] = "Stopping"]
================================================================================
