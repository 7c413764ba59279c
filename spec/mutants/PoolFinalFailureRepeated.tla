\* Rejected by FinalFailureIsACrashLoop: a start that cannot succeed is repeated like any other.
----------------------- MODULE PoolFinalFailureRepeated ------------------------
EXTENDS WorkerPool

CountsOne(w) == ~served /\ MayFail(w) /\ Hear(w, "StartFailed", "broken") /\ Fails
================================================================================
