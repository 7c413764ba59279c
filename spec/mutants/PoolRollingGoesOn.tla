\* Rejected by FailedStartStopsRolling: a rolling restart goes on after a failed start.
--------------------------- MODULE PoolRollingGoesOn ---------------------------
EXTENDS WorkerPool

GoesOn == /\ failed' = IF failed < CrashLoop THEN failed + 1 ELSE failed
          /\ backoff' = IF stage = "Open" THEN backoff + 1 ELSE backoff
          /\ restart' = restart
          /\ ClientsStay /\ SessionsStay /\ StateStays
================================================================================
