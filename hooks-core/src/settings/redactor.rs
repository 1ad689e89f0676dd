//! Messages without secrets.

/// Texts that must not be shown, and what is shown in their place.
#[derive(Default)]
pub(super) struct Redactor {
    /// Longest first.
    hidden: Vec<(String, String)>,
}

/// A part of a hidden text that is this long gives it away.
const TELLING: usize = 8;

impl Redactor {
    /// Hides a text.
    pub(super) fn hide(&mut self, text: &str, shown: &str) {
        if !text.is_empty() {
            self.hidden.push((text.to_owned(), shown.to_owned()));
            self.hidden.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
        }
    }

    /// The message without what is hidden.
    pub(super) fn redact(&self, message: &str) -> String {
        let mut message = message.to_owned();
        for (text, shown) in &self.hidden {
            let debug = format!("{text:?}");
            message = replace(&message, &debug[1..debug.len() - 1], shown);
            message = replace(&message, text, shown);
        }
        match self.hidden.iter().find(|(text, _)| gives_away(&message, text)) {
            Some((_, shown)) => format!("the value, with {shown} filled in, is not one that fits here"),
            None => message,
        }
    }
}

/// Letters that are as few as this are words of many messages.
const WORD: usize = 3;

/// A short text is replaced only where it stands alone, and a very short word only in quotes: `1` must not change
/// `max_bytes_1`, and `a` no `expected a table`.
fn replace(message: &str, text: &str, shown: &str) -> String {
    if text.len() >= TELLING {
        return message.replace(text, shown);
    }
    let part_of_word = |char: Option<char>| char.is_some_and(|char| char.is_alphanumeric() || char == '_');
    let is_quote = |char: Option<char>| char.is_some_and(|char| matches!(char, '"' | '`' | '\''));
    let is_word = text.len() <= WORD && text.chars().all(char::is_alphabetic);
    let ends = |char| if is_word { is_quote(char) } else { !part_of_word(char) };
    let (mut replaced, mut last) = (String::new(), 0);
    for (at, _) in message.match_indices(text) {
        let end = at + text.len();
        let alone = ends(message[..at].chars().next_back()) && ends(message[end..].chars().next());
        if alone && at >= last {
            replaced.push_str(&message[last..at]);
            replaced.push_str(shown);
            last = end;
        }
    }
    replaced + &message[last..]
}

fn gives_away(message: &str, text: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    chars.windows(TELLING).any(|window| message.contains(&window.iter().collect::<String>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor(text: &str) -> Redactor {
        let mut redactor = Redactor::default();
        redactor.hide(text, "${X}");
        redactor
    }

    #[test]
    fn hidden_texts_do_not_show() {
        assert_eq!(redactor("hunter22").redact("found \"hunter22\""), "found \"${X}\"");
        assert_eq!(redactor("quote\"d one").redact("found \"quote\\\"d one\""), "found \"${X}\"");
        assert_eq!(redactor("1").redact("max_1: found 1, not 12"), "max_1: found ${X}, not 12");
        let message = redactor("a").redact("a: expected a table, found \"a\", not `ab`");
        assert_eq!(message, "a: expected a table, found \"${X}\", not `ab`");
        // A part of it would give it away as well.
        let message = redactor("correct horse battery").redact("unexpected text after `correct horse`");
        assert_eq!(message, "the value, with ${X} filled in, is not one that fits here");
    }
}
