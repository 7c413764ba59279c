\* Rejected by NewSessionsAreServed: a session is bound to a draining worker.
------------------------- MODULE DrainingBindsSession --------------------------
EXTENDS WorkerLifecycle

Mutant == phase \in Serving \cup Draining /\ ~sessions /\ SessionsBecome(TRUE)
================================================================================
