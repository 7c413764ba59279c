//! The verification suite of the pool: one module per question.

mod driver;
mod sim;
