\* Rejected by DrainAcceptsNoNewClient: a draining pool accepts new clients.
------------------------ MODULE PoolDrainAcceptsClients ------------------------
EXTENDS WorkerPool

WhileOpen == stage = "Open"
================================================================================
