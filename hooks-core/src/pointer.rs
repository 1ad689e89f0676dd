//! JSON pointers (RFC 6901).

/// A name as a JSON pointer from the table that it stands in.
pub fn pointer(name: &str) -> String {
    let mut pointer = String::with_capacity(name.len() + 1);
    push_pointer(&mut pointer, name);
    pointer
}

/// Adds a name to the JSON pointer of the table that it stands in.
pub fn push_pointer(pointer: &mut String, name: &str) {
    pointer.push('/');
    for char in name.chars() {
        match char {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            char => pointer.push(char),
        }
    }
}

/// The names and indices in a JSON pointer.
pub fn tokens(pointer: &str) -> impl Iterator<Item = String> {
    pointer.split('/').skip(1).map(decode)
}

/// A name as it stands in a JSON pointer.
pub(crate) fn decode(token: &str) -> String {
    if token.contains('~') { token.replace("~1", "/").replace("~0", "~") } else { token.to_owned() }
}
