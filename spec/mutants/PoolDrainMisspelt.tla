\* Rejected by TypeOK: a misspelt intake rejects new clients.
--------------------------- MODULE PoolDrainMisspelt ---------------------------
EXTENDS WorkerPool

Misspelt == intake = "Open" /\ SetIntake("Darining")
================================================================================
