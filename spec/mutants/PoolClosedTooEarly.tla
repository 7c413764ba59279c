\* Rejected by ClosedIsEmpty: a pool is closed while a worker is being stopped.
-------------------------- MODULE PoolClosedTooEarly ---------------------------
EXTENDS WorkerPool

NobodyServes == /\ stage = "Closing" /\ queue = << >>
                /\ In({"Lingering", "Finishing"}) = {} /\ \A s \in Sessions : ~SessionIsLost(s)
================================================================================
