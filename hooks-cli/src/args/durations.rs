//! Durations on the command line.

use hooks_core::HumanDuration;

pub(super) fn span(text: &str) -> Result<HumanDuration, String> {
    text.parse()
}

pub(super) fn timeout(text: &str) -> Result<HumanDuration, String> {
    let span = self::span(text)?;
    if span.get().is_zero() { Err("must be longer than 0s".to_owned()) } else { Ok(span) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_of_zero_is_refused() {
        assert!(timeout("0s").is_err());
        assert!(timeout("10").is_err());
        assert_eq!(timeout("90s").map(|span| span.get().as_secs()), Ok(90));
    }
}
