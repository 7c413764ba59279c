\* Rejected by StagesFollow: a pool is closed without having reported that its shutdown drained.
-------------------------- MODULE PoolClosedUndrained --------------------------
EXTENDS WorkerPool

FromDraining == /\ stage \in {"Draining", "Stopping"} /\ Occupied = {} /\ queue = << >>
                /\ \A s \in Sessions : ~SessionIsLost(s)
================================================================================
