\* Rejected by TypeOK: a rung is misspelt, and no other property notices.
----------------------------- MODULE MisspeltRung ------------------------------
EXTENDS WorkerLifecycle

Mutant == [EntryRungs EXCEPT !["Fault"] = "Trem"]
================================================================================
