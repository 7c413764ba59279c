\* Rejected by BackoffsEndInOrder: a start that succeeds ends the backoffs of other vacancies.
------------------------- MODULE PoolStartEndsBackoffs -------------------------
EXTENDS WorkerPool

EndsAll(w) == /\ phase[w] = "Initializing"
              /\ Hear(w, "Started", "open")
              /\ failed' = 0 /\ backoff' = 0 /\ restart' = restart /\ served' = TRUE
              /\ size' = size /\ intake' = intake /\ stage' = stage
              /\ ClientsStay /\ SessionsStay
================================================================================
