\* Rejected by AskedIsPending: a client whose session ends is free, although its lease is still out.
----------------------- MODULE PoolSessionEndFreesHolder -----------------------
EXTENDS WorkerPool

FreesAll(s) == /\ queue' = SelectSeq(queue, LAMBDA c : asked[c] # s)
               /\ asked' = [c \in Clients |-> IF asked[c] = s THEN "nothing" ELSE asked[c]]
               /\ leases' = leases
================================================================================
