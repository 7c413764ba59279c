\* Rejected by DrainedServesOnlySessions: a drained pool accepts new clients before it is resumed.
----------------------- MODULE PoolDrainedAcceptsClients -----------------------
EXTENDS WorkerPool

UnlessUnderWay == stage = "Open" /\ intake # "Draining"
================================================================================
