//! The verification suite of the pool: one module per question.

mod books;
mod driver;
mod processes;
mod python;
mod sim;
