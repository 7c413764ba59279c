\* Rejected by LateTimersAreHarmless: a start deadline that was cancelled too late stops a worker that serves.
-------------------------- MODULE LateStartTimerStops --------------------------
EXTENDS WorkerLifecycle

Mutant == [Table EXCEPT !["Busy"]["StartElapsed"] = "Stopping"]
================================================================================
