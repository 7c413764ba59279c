\* Rejected by StartsFillVacancies: a vacancy that backs off is filled at once.
----------------------- MODULE PoolStartsDespiteBackoff ------------------------
EXTENDS WorkerPool

AtOnce == /\ stage = "Open"
          /\ Count(Staff) < size
          /\ Count(In({"Initializing"})) < MaxStarting
          /\ Count(Occupied) < size + Surge
================================================================================
