\* Rejected by AtMostOneLease: a leased worker is granted to a second client.
--------------------------- MODULE BusyGrantedAgain ----------------------------
EXTENDS WorkerLifecycle

Mutant    == [Table EXCEPT !["Busy"]["Checkout"] = "Busy"]
EvenBusy  == phase \in Serving \/ (phase = "Lingering" /\ sessions)
================================================================================
