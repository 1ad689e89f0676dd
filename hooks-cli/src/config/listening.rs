//! Where the daemon of a config file is reached, whatever else is wrong with the file: the daemon may run with what it
//! had before.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use hooks_server::IngestSettings;

use super::origin::ConfigText;
use super::problem::{Findings, Problems};
use super::section::{place_of, section};
use super::{Variables, tree_of};

/// The address at which this machine reaches the daemon that has this config file.
///
/// # Errors
/// When `[ingest]` can't be read, or leaves the port to the system.
pub(crate) fn listening(path: &Path) -> Result<SocketAddr, Problems> {
    let ConfigText { file, text, folder } = ConfigText::read(path)?;
    let variables = Variables { config_dir: folder.as_deref(), lookup: &|name| std::env::var(name) };
    address(&text, &file, &variables)
}

fn address(text: &str, file: &str, variables: &Variables<'_>) -> Result<SocketAddr, Problems> {
    let (mut findings, mut elsewhere) = (Findings::default(), Findings::default());
    let (mut root, _) = tree_of(text, file, variables, &mut elsewhere)?;
    let entry = root.table_mut().and_then(|table| table.remove("ingest"));
    let Some((IngestSettings { listen, .. }, places)) = section("ingest", entry, &mut findings) else {
        // A variable that is not set was found before the section was looked at.
        let findings = if findings.is_empty() { elsewhere } else { findings };
        return Err(findings.into_problems(file, text));
    };
    if listen.port() == 0 {
        let why =
            "ingest: listen: the system chooses the port: ask at the address that the daemon's log says, with --url";
        findings.add(place_of(&places, "listen"), why);
        return Err(findings.into_problems(file, text));
    }
    let here = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    Ok(SocketAddr::new(here, listen.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<String, String> {
        let lookup = |name: &str| match name {
            "PORT" => Ok("8000".to_owned()),
            _ => Err(std::env::VarError::NotPresent),
        };
        let found = address(text, "hooks.toml", &Variables { config_dir: None, lookup: &lookup });
        found.map(|address| address.to_string()).map_err(|problems| problems.to_string())
    }

    #[test]
    fn the_address_is_found_whatever_else_is_wrong() {
        for (text, address) in [
            ("", "127.0.0.1:8080"),
            ("ingest.listen = '0.0.0.0:9000'", "127.0.0.1:9000"),
            ("ingest.listen = '[::]:9000'", "[::1]:9000"),
            ("ingest.listen = '192.0.2.1:${PORT}'", "192.0.2.1:8000"),
            ("[[hooks]]\nid = '${MISSING}'\n[api]\nx = 1", "127.0.0.1:8080"),
        ] {
            assert_eq!(of(text).as_deref(), Ok(address), "{text}");
        }
    }

    #[test]
    fn what_leads_nowhere_says_why() {
        for (text, why) in [
            ("ingest.listen = '127.0.0.1:0'", "hooks.toml:1:17: ingest: listen: the system chooses the port"),
            ("ingest.listen = 'here'", "hooks.toml:1:17: ingest: listen: expected an IP address and a port"),
            ("ingest.listen = '${MISSING}'", "MISSING"),
            ("ingest.lisen = '127.0.0.1:1'", "did you mean `listen`?"),
            ("[ingest", "hooks.toml:1:"),
        ] {
            let error = of(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
