//! Log records of a worker: lines of its stderr that carry a level.
//!
//! `PROTOCOL.md` describes them for authors of workers; the Python runtime writes those of
//! `logging`. Control characters mark them, so a program that prints text does not write one by
//! accident.

use std::fmt;

use crate::stderr::Source;

const BEGIN: &[u8] = b"\x1eostler\x1f";
const END: &[u8] = b"\x1e";
const SEPARATOR: u8 = 0x1f;

/// A log record.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LogRecord {
    level: Level,
    logger: String,
    message: String,
    /// Names and values, as text. `None` if there are none.
    fields: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

impl LogRecord {
    /// The record in a line. `None` if the line is other output.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let text = line.strip_prefix(BEGIN)?.strip_suffix(END)?;
        let mut parts = text.split(|&byte| byte == SEPARATOR);
        let level = match parts.next()? {
            b"trace" => Level::Trace,
            b"debug" => Level::Debug,
            b"info" => Level::Info,
            b"warn" => Level::Warn,
            b"error" => Level::Error,
            _ => return None,
        };
        let (logger, message) = (unescaped(parts.next()?), unescaped(parts.next()?));
        let mut fields = Vec::new();
        while let Some(name) = parts.next() {
            fields.push(format!("{}={}", unescaped(name), unescaped(parts.next()?)));
        }
        Some(Self {
            level,
            logger,
            message,
            fields: (!fields.is_empty()).then(|| fields.join(" ")),
        })
    }

    /// Logs the record with its level.
    pub(super) fn log(&self, pool: Option<&str>, worker: Source, pid: u32) {
        let (logger, message, fields) = (&*self.logger, &self.message, self.fields.as_deref());
        macro_rules! event {
            ($level:ident) => {
                tracing::$level!(
                    target: "ostler::stderr", pool, %worker, pid, logger, fields, "{message}"
                )
            };
        }
        match self.level {
            Level::Trace => event!(trace),
            Level::Debug => event!(debug),
            Level::Info => event!(info),
            Level::Warn => event!(warn),
            Level::Error => event!(error),
        }
    }
}

/// As people read it, where there are no levels.
impl fmt::Display for LogRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Trace => "TRACE",
            Level::Debug => "DEBUG",
            Level::Info => "INFO",
            Level::Warn => "WARN",
            Level::Error => "ERROR",
        };
        write!(f, "{level} {}: {}", self.logger, self.message)?;
        match &self.fields {
            Some(fields) => write!(f, " {fields}"),
            None => Ok(()),
        }
    }
}

/// A text in which `\n` stands for a line feed, and `\\` for a backslash.
fn unescaped(text: &[u8]) -> String {
    let mut plain = String::with_capacity(text.len());
    let text = String::from_utf8_lossy(text);
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        plain.push(match char {
            '\\' => match chars.next() {
                Some('n') => '\n',
                Some(other) => other,
                None => '\\',
            },
            char => char,
        });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &[u8]) -> Option<String> {
        LogRecord::parse(line).map(|record| record.to_string())
    }

    /// A record has a level, a logger, a message and any number of fields.
    #[test]
    fn a_record_is_a_line_of_its_own_kind() {
        let some = |text: &str| Some(text.to_owned());
        for (line, text) in [
            (&b"\x1eostler\x1fwarn\x1fapp\x1fslow\x1e\n"[..], some("WARN app: slow")),
            (b"\x1eostler\x1ftrace\x1f\x1f\x1e", some("TRACE : ")),
            (
                b"\x1eostler\x1ferror\x1fa.b\x1fone\\ntwo \\\\n\x1fuser\x1f4\x1fpath\x1fC:\\\\x\x1e\n",
                some("ERROR a.b: one\ntwo \\n user=4 path=C:\\x"),
            ),
            (b"\x1eostler\x1fdebug\x1fa\x1f\xff\\\x1e", some("DEBUG a: \u{fffd}\\")),
            (b"\x1eostler\x1finfo\x1fa\x1f\\x\x1e", some("INFO a: x")),
        ] {
            assert_eq!(shown(line), text, "{line:?}");
        }
    }

    /// Everything else is other output: a record that was cut, an unknown level, a field without a
    /// value, and text.
    #[test]
    fn other_lines_are_no_records() {
        for line in [
            &b"WARNING:root:slow\n"[..],
            b"",
            b"\x1eostler\x1fwarn\x1fapp\x1fslow\n",
            b"ostler\x1fwarn\x1fapp\x1fslow\x1e\n",
            b" \x1eostler\x1fwarn\x1fapp\x1fslow\x1e\n",
            b"\x1eostler\x1fwarning\x1fapp\x1fslow\x1e\n",
            b"\x1eostler\x1fwarn\x1fapp\x1e\n",
            b"\x1eostler\x1fwarn\x1e\n",
            b"\x1eostler\x1fwarn\x1fapp\x1fslow\x1fname\x1e\n",
        ] {
            assert_eq!(shown(line), None, "{line:?}");
        }
    }
}
