//! What a worker may know of a request besides its body: the entries of a `DETAILS` frame.

use std::time::Duration;

/// The tags of the entries.
mod tag {
    /// The name of the function to run.
    pub(super) const FUNCTION: u8 = 1;
    /// The name of the session that the request belongs to.
    pub(super) const SESSION: u8 = 2;
    /// How long the host waits for the answer, in milliseconds, a `u64`, if it is not the call
    /// timeout of the pool.
    pub(super) const TIMEOUT: u8 = 3;
    /// The trace that the request belongs to, as W3C Trace Context writes it.
    pub(super) const TRACEPARENT: u8 = 4;
    /// The number of that session, a `u64`. Sessions of one name have different ones.
    pub(super) const SESSION_NUMBER: u8 = 5;
}

/// The entries of one request. Most have none, and cost nothing.
#[derive(Debug, Default)]
pub(crate) struct Details {
    bytes: Vec<u8>,
}

impl Details {
    pub(crate) fn function(&mut self, name: &str) {
        self.entry(tag::FUNCTION, name.as_bytes());
    }

    pub(crate) fn session(&mut self, number: u64, name: &str) {
        self.entry(tag::SESSION, name.as_bytes());
        self.entry(tag::SESSION_NUMBER, &number.to_be_bytes());
    }

    pub(crate) fn timeout(&mut self, timeout: Duration) {
        self.entry(tag::TIMEOUT, &milliseconds(timeout).to_be_bytes());
    }

    pub(crate) fn traceparent(&mut self, value: &str) {
        self.entry(tag::TRACEPARENT, value.as_bytes());
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn entry(&mut self, tag: u8, value: &[u8]) {
        let length = u32::try_from(value.len()).expect("the caller checks the lengths");
        self.bytes.push(tag);
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(value);
    }
}

/// What a worker reads of them.
#[cfg(feature = "testing")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) function: Option<String>,
    pub(crate) session: Option<String>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) traceparent: Option<String>,
}

#[cfg(feature = "testing")]
impl Known {
    /// The entries of the body of a `DETAILS` frame. `None`: it has something else.
    pub(crate) fn read(mut body: &[u8]) -> Option<Self> {
        let mut known = Self::default();
        while let Some((&tag, rest)) = body.split_first() {
            body = rest;
            let value = super::frame::piece(&mut body)?;
            let text = || Some(String::from_utf8_lossy(value).into_owned());
            match tag {
                tag::FUNCTION => known.function = text(),
                tag::SESSION => known.session = text(),
                tag::TIMEOUT => known.timeout = Some(read_milliseconds(value)?),
                tag::TRACEPARENT => known.traceparent = text(),
                _ => {}
            }
        }
        Some(known)
    }
}

/// The time that [`milliseconds`] has written.
#[cfg(feature = "testing")]
pub(crate) fn read_milliseconds(bytes: &[u8]) -> Option<Duration> {
    let milliseconds = u64::from_be_bytes(bytes.try_into().ok()?);
    Some(Duration::from_millis(milliseconds))
}

/// A time in milliseconds, at least 1.
pub(super) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)
}
