//! What can go wrong: one variant per failure that a caller would treat differently.
//!
//! Every error displays its own level only, on one line. [`source`](std::error::Error::source)
//! returns the next level; `report` prints all of them, with the remote traceback and the worker's
//! last lines of stderr. So does `Debug`, which is what a user sees of an error that `main`
//! returns.

mod call;
mod checkout;
mod http;
mod protocol;
mod report;
mod start;

pub use self::call::{CallError, JsonPart, RemoteError};
pub use self::checkout::{CheckoutError, Occupancy, RollingError, SessionError};
pub use self::protocol::ProtocolError;
pub use self::report::Report;
pub use self::start::{BuildError, StartError};
