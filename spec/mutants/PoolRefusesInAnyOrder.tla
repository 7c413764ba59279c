\* Rejected by OnlyTheHopelessAreRefused: a shutdown refuses the waiting clients in any order.
------------------------- MODULE PoolRefusesInAnyOrder -------------------------
EXTENDS WorkerPool

InAnyOrder(c) == /\ c \in Waiting /\ Hopeless(c)
                 /\ Refuses(c)
                 /\ WorkersStay /\ SessionsStay /\ PoolStays
================================================================================
