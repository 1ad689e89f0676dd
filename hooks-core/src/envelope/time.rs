//! Checks times.

/// Returns true for a time of RFC 3339 §5.6, leap seconds included.
pub(super) fn is_rfc3339(text: &str) -> bool {
    let Some((date_time, rest)) = text.as_bytes().split_first_chunk::<19>() else { return false };
    is_date_time(date_time) && is_fraction_and_zone(rest)
}

/// `2026-11-23T10:00:00`.
fn is_date_time(text: &[u8; 19]) -> bool {
    let form = [(4, b"--"), (7, b"--"), (10, b"Tt"), (13, b"::"), (16, b"::")];
    let [year, month, day, hour, minute, second] = [2, 5, 8, 11, 14, 17].map(|at| two_digits(text[at], text[at + 1]));
    let (Some(century), Some(year), Some(month), Some(day)) = (two_digits(text[0], text[1]), year, month, day) else {
        return false;
    };
    form.iter().all(|(at, allowed)| allowed.contains(&text[*at]))
        && (1..=days(century * 100 + year, month)).contains(&day)
        && hour.is_some_and(|hour| hour <= 23)
        && minute.is_some_and(|minute| minute <= 59)
        && second.is_some_and(|second| second <= 60)
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

fn two_digits(tens: u8, ones: u8) -> Option<u32> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| u32::from(tens - b'0') * 10 + u32::from(ones - b'0'))
}

/// Number of days of a month; 0 if there is no such month.
fn days(year: u32, month: u32) -> u32 {
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 0,
    }
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
            prop_assert_eq!(is_rfc3339(&format!("{year:04}-{month:02}-{day:02}T00:00:00Z")), exists);
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
            assert!(is_rfc3339(good), "{good}");
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
            assert!(!is_rfc3339(bad), "{bad}");
        }
    }
}
