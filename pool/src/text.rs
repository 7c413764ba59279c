//! Durations and counts in lines for people.

use std::time::Duration;

/// A duration in one unit, such as `5 us`, `200 ms`, `1.5 s`, `12 s` or `3 min`. Rounded down.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let tenths = duration.subsec_millis() / 100;
    match seconds {
        0 if (1..1000).contains(&duration.as_micros()) => format!("{} us", duration.as_micros()),
        0 => format!("{} ms", duration.as_millis()),
        1..10 if tenths > 0 => format!("{seconds}.{tenths} s"),
        1..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// A count with its noun, such as `1 call`, `2 calls` or `2 processes`.
pub(crate) fn count(count: u64, noun: &str) -> String {
    let plural = match (count, noun.ends_with('s')) {
        (1, _) => "",
        (_, true) => "es",
        (_, false) => "s",
    };
    format!("{count} {noun}{plural}")
}

/// The last line of `text` that is not blank, without control characters, and cut to 200
/// characters.
pub(crate) fn last_line(text: &str) -> Option<String> {
    const LONGEST: usize = 200;
    let line = text.lines().rev().find(|line| !line.trim().is_empty())?;
    let mut line: String = line.trim().chars().filter(|c| !c.is_control()).collect();
    if let Some((end, _)) = line.char_indices().nth(LONGEST) {
        line.truncate(end);
        line.push('…');
    }
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A duration has the unit in which it reads best.
    #[test]
    fn durations_have_units() {
        assert_eq!(duration(Duration::from_nanos(999)), "0 ms");
        assert_eq!(duration(Duration::from_nanos(5_900)), "5 us");
        for (millis, said) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1_000, "1 s"),
            (1_590, "1.5 s"),
            (12_900, "12 s"),
            (119_999, "119 s"),
            (120_000, "2 min"),
            (7_199_999, "119 min"),
            (7_200_000, "2 h"),
            (172_800_000, "2 days"),
        ] {
            let read = duration(Duration::from_millis(millis));
            assert_eq!(read, said, "{millis} ms");
        }
    }

    /// One is not many.
    #[test]
    fn counts_agree_with_their_nouns() {
        let read = [0, 1, 2].map(|n| count(n, "call"));
        assert_eq!(read, ["0 calls", "1 call", "2 calls"]);
    }

    /// The last line is that with the exception, however the output ends and however long it is.
    #[test]
    fn the_last_line_is_one_line() {
        assert_eq!(last_line(" \n\n"), None);
        let traceback = "Traceback:\n  File\n\x1b[31mKeyError: 'absent'\r\n\n";
        let last = last_line(traceback).unwrap();
        assert_eq!(last, "[31mKeyError: 'absent'");
        let long = last_line(&"é".repeat(300)).unwrap();
        assert_eq!(long, format!("{}…", "é".repeat(200)));
    }
}
