\* Rejected by SessionsAreHonoured: a drained worker is stopped although it has sessions.
------------------------- MODULE DrainIgnoresSessions --------------------------
EXTENDS WorkerLifecycle

Mutant == phase \in Draining \cup Ending /\ React("SessionsEnded") /\ Unmoved
================================================================================
