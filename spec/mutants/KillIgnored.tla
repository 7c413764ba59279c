\* Rejected by EveryStopEnds: SIGKILL need not end a process.
------------------------------ MODULE KillIgnored ------------------------------
EXTENDS WorkerLifecycle

Mutant == Init /\ [][Next]_vars
            /\ WF_vars(Delivers) /\ WF_vars(DeadlinePasses) /\ WF_vars(Releases)
================================================================================
