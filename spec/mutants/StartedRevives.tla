\* Rejected by StoppingOnlyEnds: a late handshake makes a stopping worker ready.
---------------------------- MODULE StartedRevives -----------------------------
EXTENDS WorkerLifecycle

Mutant == [Table EXCEPT !["Stopping"]["Started"] = "Ready"]
================================================================================
