//! The instances of this machine: whether one of them has ended, before its lease shows it.
//!
//! Each has a name in the kernel's table of sockets (an abstract one, of no file), which is free again once its process
//! is gone, however it ended: one that only hangs keeps it. So nobody else can be taken for dead, and two processes never
//! have one name. Who has another table, as in a container of its own, knows nothing of the others.

#[cfg(not(target_os = "linux"))]
pub(crate) use elsewhere::Mark;
#[cfg(target_os = "linux")]
pub(crate) use linux::Mark;

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    // tidy-allow(bus-io): names in the kernel, no file of a disk
    use std::os::linux::net::SocketAddrExt as _;
    // tidy-allow(bus-io): as above
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    /// The name of a living instance.
    #[derive(Debug)]
    pub(crate) struct Mark {
        machine: String,
        _held: UnixDatagram,
    }

    impl Mark {
        /// Takes the name of an instance. `None` where the system does not allow that.
        pub(crate) fn set(instance: &str) -> Option<Self> {
            let held = UnixDatagram::bind_addr(&name(instance).ok()?).ok()?;
            Some(Self { machine: machine().ok()?, _held: held })
        }

        /// The table of sockets, as no other machine names its own.
        pub(crate) fn machine(&self) -> &str {
            &self.machine
        }

        /// True if an instance of this machine has ended.
        pub(crate) fn has_ended(&self, instance: &str) -> bool {
            let reached = || UnixDatagram::unbound()?.connect_addr(&name(instance)?);
            reached().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
        }
    }

    fn name(instance: &str) -> io::Result<SocketAddr> {
        SocketAddr::from_abstract_name(format!("hooks/{instance}"))
    }

    /// The start of the system and the table in it.
    fn machine() -> io::Result<String> {
        // tidy-allow(bus-io): what the kernel tells, no file of a disk
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        // tidy-allow(bus-io): as above
        let table = std::fs::read_link("/proc/self/ns/net")?;
        Ok(format!("{} {}", boot.trim(), table.display()))
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn an_instance_has_ended_when_nobody_holds_its_name() {
            let one = Mark::set("test-one").unwrap();
            let two = Mark::set("test-two").unwrap();
            assert_eq!(one.machine(), two.machine());
            assert!(Mark::set("test-two").is_none(), "two of one name");
            assert!(!one.has_ended("test-two") && one.has_ended("test-three"));
            drop(two);
            assert!(one.has_ended("test-two"));
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    /// Other systems have no such names.
    #[derive(Debug)]
    pub(crate) enum Mark {}

    impl Mark {
        pub(crate) fn set(_instance: &str) -> Option<Self> {
            None
        }

        pub(crate) fn machine(&self) -> &str {
            match *self {}
        }

        pub(crate) fn has_ended(&self, _instance: &str) -> bool {
            match *self {}
        }
    }
}
