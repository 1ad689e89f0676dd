//! Checks times.

/// Returns true for a time of RFC 3339 §5.6, leap seconds included.
pub(super) fn is_rfc3339(text: &[u8]) -> bool {
    let Some((date_time, rest)) = text.split_first_chunk() else { return false };
    is_date_time(date_time) && is_fraction_and_zone(rest)
}

/// A date and time whose digits are the smallest, and how much larger each byte may be.
const LEAST: &[u8; 19] = b"0000-00-00T00:00:00";
const ABOVE: &[u8; 19] = b"\x09\x09\x09\x09\0\x01\x09\0\x03\x09\0\x02\x09\0\x05\x09\0\x06\x09";

/// `2026-11-23T10:00:00`. All bytes are looked at together, which costs less than to stop at the first that is wrong.
fn is_date_time(text: &[u8; 19]) -> bool {
    let mut digits: [u8; 19] = std::array::from_fn(|at| text[at].wrapping_sub(LEAST[at]));
    // A small `t` is as good.
    digits[10] &= !(b'T' ^ b't');
    let has_form = digits.iter().zip(ABOVE).fold(true, |fits, (digit, most)| fits & (digit <= most));
    let number = |at: usize| digits[at] * 10 + digits[at + 1];
    has_form && is_date(number(0), number(2), number(5), number(8)) && number(11) <= 23 && number(17) <= 60
}

fn is_date(century: u8, year: u8, month: u8, day: u8) -> bool {
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if (if year == 0 { century } else { year }).is_multiple_of(4) => 29,
        2 => 28,
        _ => 0,
    };
    (1..=days).contains(&day)
}

/// Checks the text behind the seconds: `Z`, `.123Z`, `+01:00`.
fn is_fraction_and_zone(text: &[u8]) -> bool {
    let zone = match text {
        [b'.', fraction @ ..] => {
            let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if digits == 0 {
                return false;
            }
            &fraction[digits..]
        }
        _ => text,
    };
    match *zone {
        [b'Z' | b'z'] => true,
        [b'+' | b'-', a, b, b':', c, d] => {
            two_digits(a, b).is_some_and(|hour| hour <= 23) && two_digits(c, d).is_some_and(|minute| minute <= 59)
        }
        _ => false,
    }
}

fn two_digits(tens: u8, ones: u8) -> Option<u8> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| (tens - b'0') * 10 + (ones - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The calendar is jiff's, which is not asked at run time because it costs more than the rest.
        #[test]
        fn dates_are_those_of_a_library(year in 0i16..=9999, month in 0i8..=13, day in 0i8..=32) {
            let exists = jiff::civil::Date::new(year, month, day).is_ok();
            prop_assert_eq!(is_rfc3339(format!("{year:04}-{month:02}-{day:02}T00:00:00Z").as_bytes()), exists);
        }
    }

    #[test]
    fn times() {
        for good in [
            "2026-11-23T10:00:00Z",
            "1985-04-12T23:20:50.52Z",
            "1996-12-19T16:39:57-08:00",
            "1990-12-31T23:59:60Z",
            "2026-11-23t10:00:00z",
            "2024-02-29T00:00:00Z",
            "0000-01-01T00:00:00.000000000000Z",
        ] {
            assert!(is_rfc3339(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            "2026-11-23",
            "2026-11-23T10:00:00",
            "2026-11-23 10:00:00Z",
            "2026-13-23T10:00:00Z",
            "2026-11-31T10:00:00Z",
            "2026-02-29T10:00:00Z",
            "2026-11-23T24:00:00Z",
            "2026-11-23T10:00:00.Z",
            "2026-11-23T10:00:00Zx",
            "2026-11-23T10:00:00+1:00",
            "１９８５-04-12T23:20:50Z",
        ] {
            assert!(!is_rfc3339(bad.as_bytes()), "{bad}");
        }
    }
}
