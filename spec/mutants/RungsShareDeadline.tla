\* Rejected by DeadlineRuns: only the first rung of the ladder has a deadline.
-------------------------- MODULE RungsShareDeadline ---------------------------
EXTENDS WorkerLifecycle

Mutant(from, to) == IF Deadline[to] # Deadline[from] THEN {Deadline[to]} \ {"none"} ELSE {}
================================================================================
