\* Rejected by AtMostOneLease: a busy worker is granted to a second client.
---------------------------- MODULE PoolLeasesTwice ----------------------------
EXTENDS WorkerPool

Mutant == [Table EXCEPT !["Busy"]["Checkout"] = "Busy"]

EvenBusy(c, w) == phase[w] \in Serving /\ HomeOf(c) \in {0, w}
================================================================================
