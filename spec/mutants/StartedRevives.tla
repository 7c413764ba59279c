\* Rejected by StoppingOnlyEnds: a handshake that is answered late revives a worker that is being stopped.
---------------------------- MODULE StartedRevives -----------------------------
EXTENDS WorkerLifecycle

Mutant == [Table EXCEPT !["Stopping"]["Started"] = "Ready"]
================================================================================
