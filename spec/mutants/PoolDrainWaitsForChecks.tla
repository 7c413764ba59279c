\* Rejected by QuietIsDrained: a drain waits for health checks.
------------------------ MODULE PoolDrainWaitsForChecks ------------------------
EXTENDS WorkerPool

NoLeases == queue = << >> /\ \A w \in Occupied, h \in Holders : << h, w >> \notin leases
================================================================================
