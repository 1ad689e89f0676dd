//! `Retry-After` in all its forms (RFC 9110, section 10.2.3).

use std::time::{Duration, SystemTime};

use jiff::civil::DateTime;
use jiff::fmt::strtime;
use jiff::tz::Offset;
use jiff::{Timestamp, ToSpan};

/// The wait that the receiver asks for, counted from `now`. A date in the past is no wait at all.
/// `None` for what is none of the forms: it counts as not sent.
///
/// Nothing is clamped here: the caller does that.
pub(crate) fn parse(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim_matches([' ', '\t']);
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // Digits that are too many for a number still mean "very long".
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let now = Timestamp::try_from(now).ok()?;
    let until = Offset::UTC.to_timestamp(date(value, now)?).ok()?;
    Some(Duration::try_from(until.duration_since(now)).unwrap_or(Duration::ZERO))
}

/// The three forms of an HTTP-date. The day's name has to be one, but need not be right: it says
/// nothing that the date does not.
fn date(text: &str, now: Timestamp) -> Option<DateTime> {
    if let Some((day, rest)) = text.split_once(", ") {
        return match day.len() {
            3 if is_day(day, 3) => read("%d %b %Y %H:%M:%S GMT", rest),
            _ if is_day(day, usize::MAX) => obsolete(rest, now),
            _ => None,
        };
    }
    let (day, rest) = text.split_once(' ')?;
    if is_day(day, 3) { read("%b %e %H:%M:%S %Y", rest) } else { None }
}

/// RFC 850 has two digits for the year: they mean the latest year that is at most 50 years ahead.
fn obsolete(rest: &str, now: Timestamp) -> Option<DateTime> {
    let (before, after) = rest.rsplit_once('-')?;
    let (year, clock) = after.split_at_checked(2)?;
    let year: i16 = year.bytes().all(|byte| byte.is_ascii_digit()).then(|| year.parse().ok())??;
    let today = Offset::UTC.to_datetime(now);
    let latest = today.checked_add(50.years()).ok()?;
    let century = today.year() - today.year() % 100;
    [100, 0, -100].into_iter().find_map(|offset| {
        let date = read("%d-%b-%Y %H:%M:%S GMT", &format!("{before}-{:04}{clock}", century + offset + year))?;
        (date <= latest).then_some(date)
    })
}

fn read(format: &str, text: &str) -> Option<DateTime> {
    strtime::parse(format, text).ok()?.to_datetime().ok()
}

fn is_day(name: &str, letters: usize) -> bool {
    const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
    DAYS.iter().any(|day| day[..letters.min(day.len())] == *name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> SystemTime {
        text.parse::<Timestamp>().unwrap().try_into().unwrap()
    }

    /// Seconds to wait at 08:48:00 on the day that RFC 9110 has in its examples.
    fn wait(value: &str) -> Option<u64> {
        parse(value, at("1994-11-06T08:48:00Z")).map(|wait| wait.as_secs())
    }

    #[test]
    fn every_form() {
        assert_eq!(wait("120"), Some(120));
        assert_eq!(wait("0"), Some(0));
        assert_eq!(wait(" 7\t"), Some(7));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:37 GMT"), Some(97));
        assert_eq!(wait("Sunday, 06-Nov-94 08:49:37 GMT"), Some(97));
        assert_eq!(wait("Sun Nov  6 08:49:37 1994"), Some(97));
        assert_eq!(wait("Wed Nov 16 08:48:00 1994"), Some(864_000));
    }

    #[test]
    fn the_past_is_now() {
        assert_eq!(wait("Sun, 06 Nov 1994 08:47:59 GMT"), Some(0));
        assert_eq!(wait("Sunday, 06-Nov-94 08:47:00 GMT"), Some(0));
        assert_eq!(wait("Thu Jan  1 00:00:00 1970"), Some(0));
    }

    #[test]
    fn what_is_malformed_is_absent() {
        for value in [
            "",
            "soon",
            "-1",
            "+1",
            "1.5",
            "1 s",
            "5, 10",
            "0x10",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 06 Nov 1994 25:49:37 GMT",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sonntag, 06-Nov-94 08:49:37 GMT",
            "Sunday, 06-Nov-é4 08:49:37 GMT",
            "Xyz Nov  6 08:49:37 1994",
            "1994-11-06T08:49:37Z",
        ] {
            assert_eq!(wait(value), None, "{value:?}");
        }
    }

    #[test]
    fn too_many_digits_are_very_long() {
        assert_eq!(wait("99999999999999999999999999"), Some(u64::MAX));
    }

    #[test]
    fn two_digits_of_a_year_are_at_most_fifty_years_ahead() {
        let now = at("2026-11-23T00:00:00Z");
        let years = |value| parse(value, now).map(|wait| wait.as_secs() / (365 * 86_400));
        assert_eq!(years("Monday, 23-Nov-26 00:00:10 GMT"), Some(0));
        assert_eq!(parse("Monday, 23-Nov-26 00:00:10 GMT", now), Some(Duration::from_secs(10)));
        assert_eq!(years("Monday, 23-Nov-76 00:00:00 GMT"), Some(50));
        assert_eq!(years("Wednesday, 23-Nov-77 00:00:00 GMT"), Some(0), "1977, so in the past");
    }

    #[test]
    fn two_digits_of_a_year_may_mean_the_next_century() {
        let wait = parse("Saturday, 01-Jan-00 00:00:05 GMT", at("1999-12-31T23:59:55Z"));
        assert_eq!(wait, Some(Duration::from_secs(10)));
    }

    proptest! {
        #[test]
        fn anything_goes_in(value in "\\PC*", seconds in 0u64..1 << 40) {
            let _ = parse(&value, SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        }

        #[test]
        fn near_dates_go_in(value in "(Sun|Sunday)?,? ?[0-9é]{0,2}[- ](Nov)?[- ][0-9é-]{0,5} [0-9:]{0,8}( GMT)?") {
            let _ = parse(&value, SystemTime::UNIX_EPOCH);
        }

        #[test]
        fn dates_are_read_exactly(seconds in 0u64..4_000_000_000, ahead in 0u64..10_000_000) {
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            let until = Timestamp::try_from(now + Duration::from_secs(ahead)).unwrap();
            let until = Offset::UTC.to_datetime(until);
            for format in ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"] {
                let text = until.strftime(format).to_string();
                prop_assert_eq!(parse(&text, now), Some(Duration::from_secs(ahead)), "{}", text);
            }
        }
    }
}
