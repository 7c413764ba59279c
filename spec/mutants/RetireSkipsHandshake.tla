\* Rejected by ServesOnlyOpened: a worker retired during its start drains without a handshake.
------------------------- MODULE RetireSkipsHandshake --------------------------
EXTENDS WorkerLifecycle

Mutant == [Table EXCEPT !["Initializing"]["Retire"] = "Lingering"]
================================================================================
