\* Rejected by FactsInOrder: a younger fact about the port reaches the worker before an older one.
----------------------------- MODULE FactsOvertake -----------------------------
EXTENDS WorkerLifecycle

Mutant(p, facts) == /\ port' = p
                    /\ news' = facts \o news
                    /\ phase' = phase /\ rung' = rung /\ timers' = timers
                    /\ leases' = leases /\ sessions' = sessions
================================================================================
