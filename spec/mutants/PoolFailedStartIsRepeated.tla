\* Rejected by FailedStartsBackOff: a failed start is repeated without a backoff.
----------------------- MODULE PoolFailedStartIsRepeated -----------------------
EXTENDS WorkerPool

AtOnce(count) == /\ failed'  = count
                 /\ backoff' = backoff
                 /\ restart' = IF restart = "rolling" THEN "failed" ELSE restart
                 /\ ClientsStay /\ SessionsStay /\ StateStays
================================================================================
