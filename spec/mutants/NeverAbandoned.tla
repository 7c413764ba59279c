\* Rejected by EveryStopEnds: the last rungs may be repeated for ever.
---------------------------- MODULE NeverAbandoned -----------------------------
EXTENDS WorkerLifecycle

Mutant == Init /\ [][Next]_vars /\ WF_vars(Delivers) /\ WF_vars(DeadlinePasses)
================================================================================
