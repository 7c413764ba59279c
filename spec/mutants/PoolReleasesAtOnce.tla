\* Rejected by AWorkerLivesByItsTable: a port is released before its process has exited.
-------------------------- MODULE PoolReleasesAtOnce ---------------------------
EXTENDS WorkerPoolLives

AtOnce(w) == /\ phase[w] = "Stopping"
             /\ Hear(w, "Released", "released")
             /\ ClientsStay /\ SessionsStay /\ PoolStays
================================================================================
