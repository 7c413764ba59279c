\* Rejected by SessionsAreBounded: sessions are opened beyond their number.
------------------------- MODULE PoolSessionsUnbounded -------------------------
EXTENDS WorkerPool

Always(s) == /\ session[s] = "closed" /\ TakesNewcomers
             /\ SessionBecomes(s, "unbound")
             /\ WorkersStay /\ ClientsStay /\ PoolStays
================================================================================
