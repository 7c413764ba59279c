\* Rejected by TypeOK: an intake is misspelt, and newcomers are kept out for a reason that nobody knows.
--------------------------- MODULE PoolPauseMisspelt ---------------------------
EXTENDS WorkerPool

Misspelt == intake = "Open" /\ SetIntake("Puased")
================================================================================
