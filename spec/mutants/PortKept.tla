\* Rejected by EveryStopEnds: the driver need not release a port that it was ordered to reap.
------------------------------- MODULE PortKept --------------------------------
EXTENDS WorkerLifecycle

Mutant == Init /\ [][Next]_vars
            /\ WF_vars(Delivers) /\ WF_vars(DeadlinePasses) /\ WF_vars(KillEnds)
================================================================================
