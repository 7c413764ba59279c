\* Rejected by SessionsOpenInAnOpenPool: a draining pool opens sessions.
------------------------ MODULE PoolDrainOpensSessions -------------------------
EXTENDS WorkerPool

AlwaysOpens(s) == /\ session[s] = "closed"
                  /\ \A c \in Clients : asked[c] # s
                  /\ SessionBecomes(s, "unbound")
                  /\ WorkersStay /\ ClientsStay /\ PoolStays
================================================================================
