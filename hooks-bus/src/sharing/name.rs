//! The name of an instance.

/// Most characters of the host's name in an instance's name.
const MAX_HOST: usize = 32;

/// A name for this instance that no other has or had, and that says where it runs: `HOST-PID-RANDOM`.
pub(crate) fn instance() -> String {
    let legal = |char: char| char.is_ascii_alphanumeric() || char == '-';
    // tidy-allow(bus-io): no file is touched
    let system = rustix::system::uname();
    let host = system.nodename().to_string_lossy();
    let host: String = host.chars().take(MAX_HOST).map(|char| if legal(char) { char } else { '-' }).collect();
    format!("{host}-{}-{:08x}", std::process::id(), fastrand::u32(..))
}
