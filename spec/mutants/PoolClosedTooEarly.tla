\* Rejected by ClosedIsEmpty: a pool is closed while a worker is being stopped.
-------------------------- MODULE PoolClosedTooEarly ---------------------------
EXTENDS WorkerPool

NoneServes == /\ stage = "Stopping" /\ queue = << >>
              /\ \A s \in Sessions : ~SessionIsLost(s)
================================================================================
