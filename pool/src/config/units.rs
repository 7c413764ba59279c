//! Durations and sizes as people write them: `500ms`, `1h30m`, `64MiB`, `2GB`.

use std::time::Duration;

/// In nanoseconds, the longest first.
const TIMES: [(&str, u128); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// In bytes.
const SIZES: [(&str, u128); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// A sum of one or more numbers with units, such as `30s`, `1.5 s` or `1h30m`.
pub(super) fn read_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut nanos = 0_u128;
    while {
        let end = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let (number, unit) = rest.split_at(end);
        let end = unit.find(|c: char| !c.is_ascii_alphabetic());
        let (unit, after) = unit.split_at(end.unwrap_or(unit.len()));
        let (_, scale) = TIMES.into_iter().find(|(name, _)| *name == unit)?;
        nanos = nanos.checked_add(read_number(number.trim(), scale)?)?;
        rest = after.trim_start();
        !rest.is_empty()
    } {}
    u64::try_from(nanos).ok().map(Duration::from_nanos)
}

/// In the longest unit that has no fraction.
pub(super) fn write_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let divides = |(_, scale): &(&str, u128)| nanos != 0 && nanos.is_multiple_of(*scale);
    match TIMES.into_iter().find(divides) {
        Some((unit, scale)) => format!("{}{unit}", nanos / scale),
        None => "0s".to_owned(),
    }
}

/// A number with a unit, such as `64MiB` or `1.5 GB`.
pub(super) fn read_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic())?);
    let same = |(name, _): &(&str, u128)| name.eq_ignore_ascii_case(unit);
    let (_, scale) = SIZES.into_iter().find(same)?;
    u64::try_from(read_number(number.trim(), scale)?).ok()
}

/// In the unit that needs the smallest number. `None`: only bytes do without a fraction.
pub(super) fn write_size(bytes: u64) -> Option<String> {
    let bytes = u128::from(bytes);
    let divides = |(_, scale): &(&str, u128)| *scale > 1 && bytes.is_multiple_of(*scale);
    let units = SIZES.into_iter().filter(divides);
    let (unit, scale) = units.max_by_key(|(_, scale)| *scale)?;
    (bytes > 0).then(|| format!("{}{unit}", bytes / scale))
}

/// Digits, which may have a fraction, times `scale`. Nothing is rounded but what is below 1.
fn read_number(text: &str, scale: u128) -> Option<u128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| {
        let are = text.bytes().all(|byte| byte.is_ascii_digit());
        are.then(|| text.parse::<u64>().ok())
            .flatten()
            .map(u128::from)
    };
    let part = digits(fraction)?.checked_mul(scale)? / 10_u128.checked_pow(fraction.len() as u32)?;
    digits(whole)?.checked_mul(scale)?.checked_add(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Durations and sizes are read as people write them; anything else is refused.
    #[test]
    fn units_are_read() {
        let nanos = |text| read_duration(text).map(|it| it.as_nanos());
        for (text, expected) in [
            ("500ms", 500_000_000),
            ("30s", 30_000_000_000),
            (" 1.5 s ", 1_500_000_000),
            ("1h30m", 5_400_000_000_000),
            ("1h 30m", 5_400_000_000_000),
            ("7d", 604_800_000_000_000),
            ("20us", 20_000),
            ("1ns", 1),
            ("0s", 0),
        ] {
            assert_eq!(nanos(text), Some(expected), "{text}");
        }
        for text in [
            "",
            "30",
            "s",
            "-1s",
            "1e3s",
            "5 parsecs",
            "1s2",
            "1.s",
            ".5s",
            "1M",
            "9999999999999h",
        ] {
            assert_eq!(nanos(text), None, "{text}");
        }
        for (text, expected) in [
            ("64MiB", 64 << 20),
            ("64 mib", 64 << 20),
            ("2GB", 2_000_000_000),
            ("1.5kB", 1_500),
            ("10B", 10),
        ] {
            assert_eq!(read_size(text), Some(expected), "{text}");
        }
        for text in ["", "64", "64M", "MiB", "-1B", "1 MiB 1 B", "99999999TiB"] {
            assert_eq!(read_size(text), None, "{text}");
        }
    }

    /// What is written is read as the same value, and is short.
    #[test]
    fn units_are_written() {
        for (nanos, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_500_000_000, "1500ms"),
            (600_000_000_000, "10m"),
            (604_800_000_000_000, "7d"),
        ] {
            let duration = Duration::from_nanos(nanos);
            assert_eq!(write_duration(duration), text);
            assert_eq!(read_duration(text), Some(duration));
        }
        assert_eq!(write_size(64 << 20).as_deref(), Some("64MiB"));
        assert_eq!(write_size(2_000_000_000).as_deref(), Some("2GB"));
        assert_eq!((write_size(1025), write_size(0)), (None, None));
    }
}
