\* Rejected by GrantsAreEarned: a draining worker is granted to a client without a session.
---------------------------- MODULE GrantToDraining ----------------------------
EXTENDS WorkerLifecycle

Mutant == phase \in {"Ready", "Lingering"}
================================================================================
