//! The verification suite of the pool: one module per question.

mod books;
mod calls;
mod hosts;
mod options;
mod processes;
mod programs;
mod python;
mod rig;
mod shutdown;
mod sim;
mod starts;
mod waiting;
