\* Rejected by MarksAreGiven: a resize marks every worker to be replaced.
---------------------------- MODULE PoolResizeMarks ----------------------------
EXTENDS WorkerPool

Marks(n) == /\ "Resizes" \in Happens /\ Count(In({"absent"})) + Count(Staff) >= n
            /\ size' = n
            /\ replacing' = In(Serving) /\ rolling' = rolling
            /\ phase' = phase /\ rung' = rung /\ PortsStay
            /\ intake' = intake /\ stage' = stage /\ ServedStays
            /\ ClientsStay /\ SessionsStay /\ RestartsStay
================================================================================
