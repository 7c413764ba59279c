\* Rejected by NeverTooManyPorts: a place is free before the port that had it is released.
-------------------------- MODULE PoolFreesPlaceEarly --------------------------
EXTENDS WorkerPool

Unreleased == Workers \ In({"absent", "Stopping", "Terminated"})
================================================================================
