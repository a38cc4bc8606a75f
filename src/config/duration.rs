//! Durations in Go's syntax (`1h30m`, `100ms`, `1.5s`), which is used in all flags, variables and unit files of etcd.

use std::time::Duration;

/// Go keeps a duration in a signed 64-bit count of nanoseconds; so does every value accepted here.
const MAX_NANOS: u128 = i64::MAX as u128;

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not a sequence of numbers with units.
    #[error("time: invalid duration {0:?}")]
    Invalid(String),
    /// A number without a unit.
    #[error("time: missing unit in duration {0:?}")]
    MissingUnit(String),
    /// A unit that Go does not know.
    #[error("time: unknown unit {1:?} in duration {0:?}")]
    UnknownUnit(String, String),
    /// A negative duration: no option of kvd accepts one.
    #[error("negative duration {0:?}")]
    Negative(String),
}

/// Reads a Go duration: decimal numbers, each with an optional fraction and a unit out of `ns`, `us` (`µs`), `ms`,
/// `s`, `m`, `h`; or a bare `0`.
///
/// # Errors
/// With Go's own texts; also for negative durations.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let invalid = || DurationError::Invalid(text.to_string());
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let (nanos, after) = parse_element(text, rest)?;
        total = total.checked_add(nanos).filter(|n| *n <= MAX_NANOS).ok_or_else(invalid)?;
        rest = after;
    }
    if negative && total > 0 {
        return Err(DurationError::Negative(text.to_string()));
    }
    Ok(nanos_to_duration(total))
}

/// One number with its unit; returns its nanoseconds and the text after it.
fn parse_element<'t>(whole: &str, text: &'t str) -> Result<(u128, &'t str), DurationError> {
    let invalid = || DurationError::Invalid(whole.to_string());
    let (integer, rest) = split_digits(text);
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => split_digits(rest),
        None => ("", rest),
    };
    if integer.is_empty() && fraction.is_empty() {
        return Err(invalid());
    }
    let end = rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(end);
    let scale: u128 = match unit {
        "" => return Err(DurationError::MissingUnit(whole.to_string())),
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return Err(DurationError::UnknownUnit(whole.to_string(), unit.to_string())),
    };
    let integer: u128 = if integer.is_empty() { 0 } else { integer.parse().map_err(|_| invalid())? };
    let mut nanos = integer.checked_mul(scale).filter(|n| *n <= MAX_NANOS).ok_or_else(invalid)?;
    // Go cuts the fraction at the precision of the unit: fifteen digits are finer than a nanosecond of an hour.
    let (mut part, mut power) = (0_u128, 1_u128);
    for digit in fraction.bytes().take(15) {
        part = part * 10 + u128::from(digit - b'0');
        power *= 10;
    }
    nanos += part * scale / power;
    Ok((nanos, rest))
}

fn split_digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

/// A duration of this many nanoseconds; at most Go's largest.
pub(super) fn nanos_to_duration(nanos: u128) -> Duration {
    let nanos = nanos.min(MAX_NANOS);
    Duration::new((nanos / 1_000_000_000) as u64, (nanos % 1_000_000_000) as u32)
}

/// Writes a duration as Go prints it: `1h30m0s`, `100ms`, `1.5s`, `0s`.
pub fn format_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0s".to_string();
    }
    if nanos < 1_000 {
        return format!("{nanos}ns");
    }
    if nanos < 1_000_000 {
        return decimal(nanos, 1_000, "\u{b5}s");
    }
    if nanos < 1_000_000_000 {
        return decimal(nanos, 1_000_000, "ms");
    }
    let minutes = nanos / 60_000_000_000;
    let seconds = decimal(nanos % 60_000_000_000, 1_000_000_000, "s");
    match (minutes / 60, minutes % 60) {
        (0, 0) => seconds,
        (0, minutes) => format!("{minutes}m{seconds}"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
    }
}

fn decimal(nanos: u128, unit: u128, suffix: &str) -> String {
    let whole = nanos / unit;
    let rest = nanos % unit;
    if rest == 0 {
        return format!("{whole}{suffix}");
    }
    let digits = unit.ilog10() as usize;
    let fraction = format!("{rest:0digits$}");
    format!("{whole}.{}{suffix}", fraction.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_reads() {
        for (text, nanos) in [
            ("0", 0),
            ("+0", 0),
            ("5s", 5_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("100ms", 100_000_000),
            ("1.5s", 1_500_000_000),
            (".5m", 30_000_000_000),
            ("1.s", 1_000_000_000),
            ("2h45m30.5s", 9_930_500_000_000),
            ("10us", 10_000),
            ("10\u{b5}s", 10_000),
            ("0.000000001s", 1),
            ("0.1h", 360_000_000_000),
            ("-0s", 0),
        ] {
            assert_eq!(parse_duration(text).map(|d| d.as_nanos()), Ok(nanos), "{text}");
        }
    }

    #[test]
    fn refuses_what_go_refuses_with_its_words() {
        for (text, words) in [
            ("", "time: invalid duration \"\""),
            ("10", "time: missing unit in duration \"10\""),
            ("1d", "time: unknown unit \"d\" in duration \"1d\""),
            ("s", "time: invalid duration \"s\""),
            (".s", "time: invalid duration \".s\""),
            ("1 s", "time: unknown unit \" s\" in duration \"1 s\""),
            ("9999999h", "time: invalid duration \"9999999h\""),
            ("-1s", "negative duration \"-1s\""),
        ] {
            assert_eq!(parse_duration(text).map_err(|e| e.to_string()), Err(words.to_string()), "{text}");
        }
    }

    #[test]
    fn prints_as_go_and_reads_its_own_print() {
        for (nanos, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_500, "1.5\u{b5}s"),
            (100_000_000, "100ms"),
            (1_500_000_000, "1.5s"),
            (60_000_000_000, "1m0s"),
            (5_400_000_000_000, "1h30m0s"),
            (7_200_000_000_000, "2h0m0s"),
            (3_661_000_000_001, "1h1m1.000000001s"),
        ] {
            let duration = nanos_to_duration(nanos);
            assert_eq!(format_duration(duration), text);
            assert_eq!(parse_duration(text), Ok(duration));
        }
    }
}
