\* Rejected by EveryStopEnds: the driver may keep a port that it was told to reap.
------------------------------- MODULE PortKept --------------------------------
EXTENDS WorkerLifecycle

Mutant == Init /\ [][Next]_vars
            /\ WF_vars(NewsArrives) /\ WF_vars(DeadlinePasses) /\ WF_vars(KillEnds)
================================================================================
