//! The verification suite of the core: one module per question.

mod table;
