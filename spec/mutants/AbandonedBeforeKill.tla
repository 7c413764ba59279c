\* Rejected by TerminatedIsReleased: a port is abandoned before its process was sent SIGKILL.
-------------------------- MODULE AbandonedBeforeKill --------------------------
EXTENDS WorkerLifecycle

AnyRung == RungSet
================================================================================
