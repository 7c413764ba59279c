\* Rejected by GrantsAreEarned: a draining worker is granted to a client that has no session on it.
---------------------------- MODULE GrantToDraining ----------------------------
EXTENDS WorkerLifecycle

Mutant == phase \in {"Ready", "Lingering"}
================================================================================
