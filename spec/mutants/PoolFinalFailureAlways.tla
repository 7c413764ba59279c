\* Rejected by ServedFailuresAreCounted: one failed start is a crash loop although workers have served.
------------------------ MODULE PoolFinalFailureAlways -------------------------
EXTENDS WorkerPool

AlsoLater(w) == MayFail(w) /\ Hear(w, "StartFailed", "broken") /\ FailsAs(CrashLoop)
================================================================================
