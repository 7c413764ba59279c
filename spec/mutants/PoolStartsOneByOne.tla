\* Rejected by VacanciesAreFilled: workers start one by one, although two may start at the same
\* time.
-------------------------- MODULE PoolStartsOneByOne ---------------------------
EXTENDS WorkerPool

OneByOne == /\ stage = "Open"
            /\ Count(Staff) + backoff < size
            /\ In({"Initializing"}) = {}
            /\ Count(Occupied) < size + Surge
================================================================================
