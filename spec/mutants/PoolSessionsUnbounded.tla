\* Rejected by SessionsAreBounded: more than MaxSessions sessions are opened.
------------------------- MODULE PoolSessionsUnbounded -------------------------
EXTENDS WorkerPool

Always(s) == /\ session[s] = "closed" /\ AcceptsNew
             /\ SessionBecomes(s, "unbound")
             /\ WorkersStay /\ ClientsStay /\ PoolStays
================================================================================
