//! Integers in JSON, as protobuf reads them: every notation of a whole number.

/// The integer that `text` is as a JSON number, if it is one. Numbers of more than 20 digits are none.
pub fn integer(text: &[u8]) -> Option<i128> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let (whole, rest) = split_digits(digits);
    if whole.is_empty() || (whole.len() > 1 && whole.starts_with(b"0")) {
        return None;
    }
    let (fraction, rest) = match rest {
        [b'.', rest @ ..] => Some(split_digits(rest)).filter(|(digits, _)| !digits.is_empty())?,
        rest => (&[][..], rest),
    };
    let exponent = match rest {
        [] => 0,
        [b'e' | b'E', exponent @ ..] => exponent_of(exponent)?,
        _ => return None,
    };
    let whole = if whole == b"0" { &[][..] } else { whole };
    let zeros = fraction.iter().rev().take_while(|digit| **digit == b'0').count();
    let fraction = fraction.get(..fraction.len() - zeros).unwrap_or_default();
    let magnitude = shifted(whole, fraction, exponent)?;
    Some(if negative { -magnitude } else { magnitude })
}

fn split_digits(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().take_while(|byte| byte.is_ascii_digit()).count())
}

fn exponent_of(text: &[u8]) -> Option<i32> {
    let unsigned = text.strip_prefix(b"+").or_else(|| text.strip_prefix(b"-")).unwrap_or(text);
    let all_digits = !unsigned.is_empty() && unsigned.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| all_digits)?.parse().ok()
}

/// The digits with the point moved by `exponent` places, if that is a whole number.
fn shifted(whole: &[u8], fraction: &[u8], exponent: i32) -> Option<i128> {
    if whole.is_empty() && fraction.is_empty() {
        return Some(0);
    }
    let places = exponent.unsigned_abs() as usize;
    let number =
        |digits: &[u8]| digits.iter().fold(0i128, |number, digit| number * 10 + i128::from(digit - b'0'));
    if exponent < 0 {
        let kept = whole.len().checked_sub(places)?;
        let (kept, dropped) = whole.split_at_checked(kept)?;
        let is_whole = fraction.is_empty() && dropped.iter().all(|digit| *digit == b'0');
        return (is_whole && kept.len() <= 20).then(|| number(kept));
    }
    let zeros = places.checked_sub(fraction.len())?;
    if whole.len() + places > 20 {
        return None;
    }
    let digits = [whole, fraction].concat();
    Some((0..zeros).fold(number(&digits), |number, _| number * 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_in_every_notation() {
        for (text, number) in [
            ("0", 0),
            ("-0", 0),
            ("7", 7),
            ("-12", -12),
            ("1.0", 1),
            ("1e3", 1000),
            ("1.5E+1", 15),
            ("0.05e2", 5),
            ("50e-1", 5),
            ("0e-5", 0),
            ("18446744073709551615", u64::MAX.into()),
            ("-9223372036854775808", i64::MIN.into()),
        ] {
            assert_eq!(integer(text.as_bytes()), Some(number), "{text}");
        }
        for text in [
            "",
            "-",
            "01",
            "1.5",
            "5e-1",
            "1e",
            "1e+",
            "1.",
            ".5",
            "+1",
            "1x",
            "1e30",
            "1e99999999999",
            " 1",
            "0x1",
        ] {
            assert_eq!(integer(text.as_bytes()), None, "{text}");
        }
    }
}
