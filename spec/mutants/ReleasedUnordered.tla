\* Rejected by ReleasesAreOrdered: the driver releases a port before it is ordered to.
--------------------------- MODULE ReleasedUnordered ---------------------------
EXTENDS WorkerLifecycle

Mutant == port = "exited" /\ Becomes("released", << "Released" >>)
================================================================================
