\* Rejected by AtMostOneLease: a worker is granted to a second client while the first one has it.
--------------------------- MODULE BusyGrantedAgain ----------------------------
EXTENDS WorkerLifecycle

Mutant    == [Table EXCEPT !["Busy"]["Checkout"] = "Busy"]
EvenBusy  == phase \in Serving \/ (phase = "Lingering" /\ sessions)
================================================================================
