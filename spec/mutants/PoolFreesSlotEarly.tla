\* Rejected by NeverTooManyPorts: a slot is reused before its port is released.
-------------------------- MODULE PoolFreesSlotEarly ---------------------------
EXTENDS WorkerPool

Unreleased == Workers \ In({"absent", "Stopping", "Terminated"})
================================================================================
