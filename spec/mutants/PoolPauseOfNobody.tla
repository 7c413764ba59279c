\* Rejected by OnlyVacanciesAreHeldBack: a position stays held back that is filled, because a mark was taken back.
--------------------------- MODULE PoolPauseOfNobody ---------------------------
EXTENDS WorkerPool

Never == FALSE
================================================================================
