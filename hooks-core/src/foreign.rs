//! Input that can hold no events, told by its first bytes: other encodings, compressed files.

/// The number of bytes that [`seems`] looks at.
pub const ENOUGH: usize = 4;

/// The apparent format of input that begins like this, and what to do; `None` where it may be UTF-8.
pub fn seems(beginning: &[u8]) -> Option<&'static str> {
    const UTF_16: &str = "UTF-16 text: events are UTF-8, which `iconv -f UTF-16 -t UTF-8` makes of it";
    const UTF_32: &str = "UTF-32 text: events are UTF-8, which `iconv -f UTF-32 -t UTF-8` makes of it";
    Some(match *beginning {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => UTF_32,
        [1..=255, 0, 0, 0, ..] | [0, 0, 0, 1..=255, ..] => UTF_32,
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => UTF_16,
        [1..=255, 0, 1..=255, 0, ..] | [0, 1..=255, 0, 1..=255, ..] => UTF_16,
        [0x1f, 0x8b, ..] => "compressed by gzip: unpack it first, with `gzip -dc`",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "compressed by zstd: unpack it first, with `zstd -dc`",
        [0xfd, b'7', b'z', b'X', ..] => "compressed by xz: unpack it first, with `xz -dc`",
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => "compressed by bzip2: unpack it first, with `bzip2 -dc`",
        [b'P', b'K', 3, 4, ..] => "a ZIP archive: unpack it first, with `unzip -p`",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_by_its_first_bytes() {
        let utf_16 = |text: &str, bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
        let utf_32 = |text: &str, bytes: fn(u32) -> [u8; 4]| {
            text.chars().flat_map(|char| bytes(u32::from(char))).collect::<Vec<u8>>()
        };
        for text in ["{\"", "\u{feff}{\"", "[{", "\u{feff}[{"] {
            for (bytes, name) in [
                (utf_16(text, u16::to_le_bytes), "UTF-16"),
                (utf_16(text, u16::to_be_bytes), "UTF-16"),
                (utf_32(text, u32::to_le_bytes), "UTF-32"),
                (utf_32(text, u32::to_be_bytes), "UTF-32"),
            ] {
                assert!(seems(&bytes).is_some_and(|what| what.starts_with(name)), "{bytes:?}");
            }
        }
        for text in ["{\"a\"", "", "{", "[1", "\u{feff}{", "B", "PK", "BZhx", "{}\n\0\0\0", "\0\0\0\0", "é\0"] {
            assert_eq!(seems(text.as_bytes()), None, "{text:?}");
        }
    }
}
