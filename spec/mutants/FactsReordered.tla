\* Rejected by FactsInOrder: a later fact about the port is delivered before an earlier one.
---------------------------- MODULE FactsReordered -----------------------------
EXTENDS WorkerLifecycle

Mutant(p, facts) == /\ port' = p
                    /\ pending' = facts \o pending
                    /\ phase' = phase /\ rung' = rung /\ timers' = timers
                    /\ leases' = leases /\ sessions' = sessions
================================================================================
