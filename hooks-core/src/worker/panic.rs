//! The text of a panic.

use std::any::Any;

/// Longest text that is shown, in characters.
const MAX_CHARACTERS: usize = 500;

/// The text of a panic, on one line.
pub(crate) fn text(panic: &(dyn Any + Send)) -> String {
    let said = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let words = said.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    if words.is_empty() { "it did not say why".to_owned() } else { words.chars().take(MAX_CHARACTERS).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_whatever_was_thrown() {
        assert_eq!(text(&"no\n  provider"), "no provider");
        assert_eq!(text(&"x".repeat(1000)).len(), MAX_CHARACTERS);
        assert_eq!((text(&7), text(&"")), ("it did not say why".to_owned(), "it did not say why".to_owned()));
    }
}
