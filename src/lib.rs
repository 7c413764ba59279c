//! The core of ostler.

#![no_std]

extern crate alloc;

mod vocabulary;
pub mod worker;
