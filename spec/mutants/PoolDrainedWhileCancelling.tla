\* Rejected by DrainedIsQuiet: a drain is reported as drained while a call is being cancelled.
---------------------- MODULE PoolDrainedWhileCancelling -----------------------
EXTENDS WorkerPool

IgnoresCancels == queue = << >> /\ \A w \in Occupied, c \in Clients : << c, w >> \notin leases
================================================================================
