\* Rejected by ShutdownEnds: an abandoned port keeps its slot until it is released.
------------------------ MODULE PoolAbandonedKeepsSlot -------------------------
EXTENDS WorkerPool

Unreleased == { w \in Workers : port[w] \notin {"none", "released"} }
================================================================================
