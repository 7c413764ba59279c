\* Rejected by StartsResetTheCount: failed starts are counted beyond one that succeeds.
-------------------------- MODULE PoolStartKeepsCount --------------------------
EXTENDS WorkerPool

KeepsCount(w) == /\ phase[w] = "Initializing"
                 /\ Hear(w, "Started", "open")
                 /\ failed' = failed /\ backoff' = backoff /\ restart' = restart /\ served' = TRUE
                 /\ size' = size /\ intake' = intake /\ stage' = stage
                 /\ ClientsStay /\ SessionsStay
================================================================================
