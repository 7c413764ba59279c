\* Rejected by EveryExitIsNoticed: the driver need not deliver a fact.
--------------------------- MODULE FactsUndelivered ----------------------------
EXTENDS WorkerLifecycle

Mutant == Init /\ [][Next]_vars /\ WF_vars(DeadlinePasses) /\ WF_vars(Abandon)
================================================================================
