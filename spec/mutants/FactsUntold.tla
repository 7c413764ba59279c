\* Rejected by EveryExitIsNoticed: the driver may keep what it knows to itself.
------------------------------ MODULE FactsUntold ------------------------------
EXTENDS WorkerLifecycle

Mutant == Init /\ [][Next]_vars
            /\ WF_vars(DeadlinePasses) /\ WF_vars(KillEnds) /\ WF_vars(Releases)
================================================================================
