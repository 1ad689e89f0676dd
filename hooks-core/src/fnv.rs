//! FNV-1a, 64 bits: a hash that is the same in every process.

/// The hash of some bytes, which stays the same in every process and version
/// (<http://www.isthe.com/chongo/tech/comp/fnv/>).
pub fn stable_hash(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    #[test]
    fn known_values() {
        assert_eq!(super::stable_hash([]), 0xcbf2_9ce4_8422_2325);
        assert_eq!(super::stable_hash(*b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(super::stable_hash(*b"foobar"), 0x8594_4171_f739_67e8);
    }
}
