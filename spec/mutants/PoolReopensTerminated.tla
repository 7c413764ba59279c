\* Rejected by TerminatedIsFinal: a terminated worker is opened again.
------------------------- MODULE PoolReopensTerminated -------------------------
EXTENDS WorkerPool

EvenEnded(w) == phase[w] \in {"absent", "Terminated"}
================================================================================
