\* Rejected by TypeOK: a rolling restart that has ended still holds the workers that were kept.
------------------------ MODULE PoolRollingIsRemembered ------------------------
EXTENDS WorkerPool

Remembers(end) == /\ RollingIsOver(end)
                  /\ restart' = "idle" /\ rolling' = rolling
                  /\ backoff' = backoff /\ failed' = failed
                  /\ phase' = phase /\ rung' = rung /\ replacing' = replacing
                  /\ PortsStay /\ ClientsStay /\ SessionsStay /\ StateStays
================================================================================
