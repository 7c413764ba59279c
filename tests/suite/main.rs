//! The verification suite of the core: one module per question.

mod supervisor;
mod supervisor_random;
mod table;
mod tidy;
mod world;
