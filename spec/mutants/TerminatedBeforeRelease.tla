\* Rejected by TerminatedIsReleased: an exited worker counts as ended while its group may live and its pipes are open.
------------------------ MODULE TerminatedBeforeRelease ------------------------
EXTENDS WorkerLifecycle

Mutant == [Table EXCEPT !["Stopping"]["Exited"] = "Terminated"]
================================================================================
