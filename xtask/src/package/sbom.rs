//! What is in the binary, for machines: a CycloneDX list.

use serde_json::{Value, json};

use super::parts::Part;

/// A package of Debian, of which files are shipped, too.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DebianPackage {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) architecture: String,
}

impl DebianPackage {
    fn component(&self) -> Value {
        let Self { name, version, architecture } = self;
        let address = format!("pkg:deb/debian/{name}@{}?arch={architecture}", version.replace('+', "%2B"));
        json!({ "type": "library", "bom-ref": address, "name": name, "version": version, "purl": address })
    }
}

/// The list, as CycloneDX 1.5 has it.
pub(super) fn cyclone_dx(parts: &[Part], packages: &[DebianPackage]) -> String {
    let (own, others): (Vec<_>, Vec<_>) = parts.iter().partition(|part| part.name == "hooks-cli");
    let dependencies = parts.iter().map(|part| {
        let needs: Vec<_> = part.needs.iter().filter_map(|at| parts.get(*at)).map(address).collect();
        json!({ "ref": address(part), "dependsOn": needs })
    });
    let components = others.iter().map(|part| component(part, "library"));
    let components = components.chain(packages.iter().map(DebianPackage::component));
    let document = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": own.first().map(|part| component(part, "application")) },
        "components": components.collect::<Vec<_>>(),
        "dependencies": dependencies.collect::<Vec<_>>(),
    });
    format!("{document:#}\n")
}

fn component(part: &Part, kind: &str) -> Value {
    json!({
        "type": kind,
        "bom-ref": address(part),
        "name": part.name,
        "version": part.version,
        "purl": address(part),
        "licenses": [{ "expression": part.license }],
    })
}

fn address(part: &Part) -> String {
    format!("pkg:cargo/{}@{}", part.name, part.version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn libc() -> DebianPackage {
        let [name, version, architecture] = ["libc6", "2.36-9+deb12u1", "amd64"].map(str::to_owned);
        DebianPackage { name, version, architecture }
    }

    #[test]
    fn every_crate_is_listed_and_what_it_is_built_with() {
        let parts = super::super::parts::all().unwrap();
        let list: Value = serde_json::from_str(&cyclone_dx(&parts, &[libc()])).unwrap();
        let components = list["components"].as_array().unwrap();
        assert_eq!(components.len(), parts.len());
        assert_eq!(components.last().unwrap()["purl"], "pkg:deb/debian/libc6@2.36-9%2Bdeb12u1?arch=amd64");
        assert_eq!(list["metadata"]["component"]["name"], "hooks-cli");
        let all = list["dependencies"].as_array().unwrap();
        let core = all.iter().find(|one| one["ref"].as_str().unwrap().starts_with("pkg:cargo/hooks-core@")).unwrap();
        assert!(core["dependsOn"].to_string().contains("pkg:cargo/tokio@"), "{core}");
    }
}
