//! A file with passwords, as psql has one. No I/O.

use hooks_core::Secret;

/// The password of the first line that fits. `*` in it fits anything, and `\` keeps a `:` or `\` from its meaning.
pub(super) fn find(text: &str, host: &str, port: u16, database: &str, user: &str) -> Option<Secret> {
    let port = port.to_string();
    let wanted = [host, &port, database, user];
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(fields)
        .find(|(fields, _)| fields.iter().zip(wanted).all(|(field, wanted)| field == "*" || field == wanted))
        .map(|(_, password)| Secret::new(password))
}

fn fields(line: &str) -> Option<([String; 4], String)> {
    let mut fields = vec![String::new()];
    let mut chars = line.chars();
    while let Some(char) = chars.next() {
        match char {
            ':' if fields.len() < 5 => fields.push(String::new()),
            '\\' => fields.last_mut()?.extend(chars.next()),
            char => fields.last_mut()?.push(char),
        }
    }
    let password = fields.pop()?;
    Some((fields.try_into().ok()?, password))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_fits_has_the_password() {
        let text = "# a comment\nshort:line\ndb:5432:shop:a\\:b:one\n*:*:shop:*:two\\:\\\\:three\n";
        let found = |host, user| find(text, host, 5432, "shop", user).map(|secret| secret.expose().to_owned());
        assert_eq!(found("db", "a:b").as_deref(), Some("one"));
        assert_eq!(found("other", "x").as_deref(), Some("two:\\:three"));
        assert!(find(text, "db", 5432, "other", "a:b").is_none());
    }
}
