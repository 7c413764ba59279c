//! The simulation is the test in `tests/`. A package needs a library or a program.
