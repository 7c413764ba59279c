\* Rejected by EveryStartEnds: a deadline that runs need not pass.
----------------------------- MODULE DeadlinesIdle -----------------------------
EXTENDS WorkerLifecycle

Mutant == Init /\ [][Next]_vars
            /\ WF_vars(NewsArrives) /\ WF_vars(KillEnds) /\ WF_vars(Releases)
================================================================================
