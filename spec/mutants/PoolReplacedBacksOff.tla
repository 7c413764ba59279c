\* Rejected by OnlyFailuresBackOff: a worker that crashes while it is being replaced makes the pool
\* back off.
------------------------- MODULE PoolReplacedBacksOff --------------------------
EXTENDS WorkerPool

AnyBacksOff(w, i, p) == /\ Bearable(w)
                        /\ phase[w] \in Serving \cup Draining
                        /\ Hear(w, i, p)
                        /\ backoff' \in {backoff, backoff + 1}
                        /\ failed' = failed /\ restart' = restart
                        /\ ClientsStay /\ SessionsStay /\ StateStays
================================================================================
