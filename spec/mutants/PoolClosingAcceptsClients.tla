\* Rejected by ClosingAcceptsNoNewClient: a closing pool accepts new clients.
----------------------- MODULE PoolClosingAcceptsClients -----------------------
EXTENDS WorkerPool

UnlessDraining == intake = "Open"
================================================================================
