\* Rejected by StartsResetTheCount: a start that succeeds does not reset the count of failed starts.
-------------------------- MODULE PoolStartKeepsCount --------------------------
EXTENDS WorkerPool

KeepsCount(w) == /\ phase[w] = "Initializing"
                 /\ Hear(w, "Started", "open")
                 /\ failed' = failed /\ backoff' = backoff /\ restart' = restart /\ served' = TRUE
                 /\ size' = size /\ intake' = intake /\ stage' = stage
                 /\ ClientsStay /\ SessionsStay
================================================================================
