\* Rejected by EveryStartEnds: a running deadline need not pass.
-------------------------- MODULE DeadlinesNeverPass ---------------------------
EXTENDS WorkerLifecycle

Mutant == Init /\ [][Next]_vars /\ WF_vars(Delivers) /\ WF_vars(Abandon)
================================================================================
