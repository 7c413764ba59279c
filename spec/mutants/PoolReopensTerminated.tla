\* Rejected by TerminatedIsFinal: a worker that has ended is opened again.
------------------------- MODULE PoolReopensTerminated -------------------------
EXTENDS WorkerPool

EvenEnded(w) == phase[w] \in {"absent", "Terminated"}
================================================================================
