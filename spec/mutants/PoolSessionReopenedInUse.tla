\* Rejected by SessionLeasesAreAtHome: a session is opened anew while a lease for it is out.
----------------------- MODULE PoolSessionReopenedInUse ------------------------
EXTENDS WorkerPool

OpensAnew(s) == /\ session[s] = "closed" /\ AcceptsNew
                /\ SessionBecomes(s, "unbound")
                /\ WorkersStay /\ ClientsStay /\ PoolStays
================================================================================
