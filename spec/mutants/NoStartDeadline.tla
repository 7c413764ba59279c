\* Rejected by EveryStartEnds: nothing limits how long a handshake may take.
---------------------------- MODULE NoStartDeadline ----------------------------
EXTENDS WorkerLifecycle

Mutant == [Deadlines EXCEPT !["Initializing"] = "none"]
================================================================================
