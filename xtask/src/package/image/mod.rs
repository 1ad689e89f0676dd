//! `cargo xtask image`: an image for containers (OCI), made by `tar` and `gzip`, without a container engine.
//!
//! ```text
//! root: the files ─▶ tar ─▶ gzip ─▶ layer ─┐
//!                                  config ─┴▶ manifest ─▶ index ─▶ tar of all: target/packages/hooks_*.oci.tar
//! ```
//!
//! The same commit, binary and packages of this machine are the same bytes: names are sorted, owners are fixed, and every
//! time is the commit's.

mod root;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::stage::restrict;
use super::{architecture, commit, write};
use crate::workspace::{self, Done};

/// The most bytes that are fetched: the archive, in which the layer is compressed.
const LARGEST: u64 = 30_000_000;

/// The folder that has to last.
const VOLUME: &str = "var/lib/hooks";

/// Who runs it: nobody else has this number.
const USER: &str = "65532:65532";

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Makes an image of this binary as this version, into this folder; says where.
///
/// `is_quick`: what is made is only tried, and may be larger.
pub(crate) fn build(hooks: &Path, version: &str, into: &Path, is_quick: bool) -> Result<PathBuf, String> {
    let place = tempfile::tempdir().map_err(|error| format!("a temporary folder: {error}"))?;
    let (files, layout) = (place.path().join("root"), place.path().join("layout"));
    root::lay_out(&files, hooks)?;
    restrict(&files, &[Path::new("usr/bin/hooks"), Path::new("lib"), Path::new("lib64")])?;
    let commit = commit()?;
    let plain = place.path().join("layer.tar");
    pack(&files, &plain, &commit.seconds)?;
    let whole = sha256(&plain)?;
    workspace::output(Command::new("gzip").args(["--no-name", if is_quick { "-1" } else { "-9" }]).arg(&plain))?;
    let architecture = architecture()?;
    let mut blobs = Blobs { folder: layout.join("blobs/sha256") };
    let layer = blobs.add_file(&place.path().join("layer.tar.gz"), LAYER)?;
    let config = blobs.add(&config(version, &architecture, &commit.time, &whole), CONFIG)?;
    let manifest = blobs.add(
        &json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config,
            "layers": [layer],
            "annotations": labels(version, &commit),
        }),
        MANIFEST,
    )?;
    write(&layout.join("oci-layout"), json!({ "imageLayoutVersion": "1.0.0" }).to_string())?;
    let name = format!("hooks:{version}");
    let mut named = manifest;
    named["annotations"] = json!({ "org.opencontainers.image.ref.name": name });
    named["platform"] = json!({ "architecture": architecture, "os": "linux" });
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [named] });
    write(&layout.join("index.json"), index.to_string())?;
    // For engines that only read what Docker once saved.
    let path = |blob: &Value| format!("blobs/{}", blob["digest"].as_str().unwrap_or_default().replace(':', "/"));
    let docker = json!([{ "Config": path(&config), "RepoTags": [name], "Layers": [path(&layer)] }]);
    write(&layout.join("manifest.json"), docker.to_string())?;
    restrict(&layout, &[])?;
    let image = into.join(format!("hooks_{version}_{architecture}.oci.tar"));
    tar(&layout, &image, &commit.seconds, &["--create", "--owner=0", "--group=0"], ".")?;
    let size = fs::metadata(&image).map_err(|error| format!("{}: {error}", image.display()))?.len();
    if size > LARGEST && !is_quick {
        return Err(format!("{}: {size} bytes, more than {LARGEST}", image.display()));
    }
    Ok(image)
}

/// Packs the files: all belong to root, and the volume to who runs it.
fn pack(files: &Path, archive: &Path, seconds: &str) -> Done {
    let (user, group) = USER.split_once(':').unwrap_or((USER, USER));
    tar(files, archive, seconds, &["--create", "--owner=0", "--group=0", &format!("--exclude=./{VOLUME}")], ".")?;
    let owner = [&format!("--owner={user}"), &format!("--group={group}"), "--mode=0750"];
    tar(files, archive, seconds, &[&["--append"], &owner[..]].concat(), &format!("./{VOLUME}"))
}

/// The same files are the same archive.
fn tar(folder: &Path, archive: &Path, seconds: &str, options: &[&str], what: &str) -> Done {
    let mut tar = Command::new("tar");
    tar.args(options).args(["--sort=name", "--numeric-owner", "--format=ustar", &format!("--mtime=@{seconds}")]);
    tar.arg("--file").arg(archive).arg("--directory").arg(folder).arg(what);
    workspace::output(&mut tar).map(drop)
}

/// How it runs.
fn config(version: &str, architecture: &str, time: &str, layer: &str) -> Value {
    let second = 1_000_000_000_u64;
    let file = "/etc/hooks/hooks.toml";
    json!({
        "created": time,
        "architecture": architecture,
        "os": "linux",
        "config": {
            "User": USER,
            "ExposedPorts": { "8080/tcp": {} },
            "Env": ["PATH=/usr/bin"],
            "Entrypoint": ["/usr/bin/hooks"],
            "Cmd": ["serve", "-c", file],
            "Volumes": { format!("/{VOLUME}"): {} },
            "WorkingDir": format!("/{VOLUME}"),
            "StopSignal": "SIGTERM",
            "Labels": { "org.opencontainers.image.version": version },
            // Docker's; others are told of it where the container is defined.
            "Healthcheck": {
                "Test": ["CMD", "/usr/bin/hooks", "health", "-c", file],
                "Interval": 10 * second,
                "Timeout": 6 * second,
                "StartPeriod": 30 * second,
                "Retries": 3,
            },
        },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{layer}")] },
        "history": [{ "created": time, "created_by": "cargo xtask image" }],
    })
}

fn labels(version: &str, commit: &super::Commit) -> Value {
    json!({
        "org.opencontainers.image.title": "hooks",
        "org.opencontainers.image.description": env!("CARGO_PKG_DESCRIPTION"),
        "org.opencontainers.image.version": version,
        "org.opencontainers.image.created": commit.time,
        "org.opencontainers.image.revision": commit.id,
        "org.opencontainers.image.source": env!("CARGO_PKG_REPOSITORY"),
        "org.opencontainers.image.licenses": "MIT OR Apache-2.0",
    })
}

/// The content of a layout, by its sums.
struct Blobs {
    folder: PathBuf,
}

impl Blobs {
    /// Keeps a document; says what it is, for who names it.
    fn add(&mut self, document: &Value, media_type: &str) -> Result<Value, String> {
        let file = self.folder.join("new");
        write(&file, document.to_string())?;
        self.add_file(&file, media_type)
    }

    fn add_file(&mut self, file: &Path, media_type: &str) -> Result<Value, String> {
        let failed = |error| format!("keep {}: {error}", file.display());
        let sum = sha256(file)?;
        let size = fs::metadata(file).map_err(failed)?.len();
        fs::create_dir_all(&self.folder).map_err(failed)?;
        fs::rename(file, self.folder.join(&sum)).map_err(failed)?;
        Ok(json!({ "mediaType": media_type, "digest": format!("sha256:{sum}"), "size": size }))
    }
}

fn sha256(file: &Path) -> Result<String, String> {
    let said = workspace::output(Command::new("sha256sum").arg(file))?;
    said.split(' ').next().map(str::to_owned).ok_or_else(|| format!("sha256sum says `{said}`"))
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;

    /// `hooks:1.2` of `image: hooks:1.2`, in each file that runs the image.
    #[test]
    fn what_is_deployed_is_this_version() {
        for file in ["deploy/compose.yaml", "deploy/kubernetes/durable.yaml", "deploy/kubernetes/shared.yaml"] {
            let text = read(file).unwrap();
            let images: Vec<_> = text.lines().filter_map(|line| line.trim().strip_prefix("image: ")).collect();
            assert_eq!(images, [concat!("hooks:", env!("CARGO_PKG_VERSION"))], "{file}");
        }
    }

    #[test]
    fn the_containerfile_makes_an_image_that_runs_the_same_way() {
        let text = read("deploy/Containerfile").unwrap();
        // Of the last stage.
        let found = |name: &str| text.lines().filter_map(|line| line.strip_prefix(name)).next_back();
        let line = |name: &str| found(name).unwrap_or_default().trim();
        let words = |name: &str| serde_json::from_str::<Value>(line(name)).unwrap();
        let config = &config("1.2.3", "amd64", "", "")["config"];
        assert_eq!(words("ENTRYPOINT"), config["Entrypoint"]);
        assert_eq!(words("CMD"), config["Cmd"]);
        assert_eq!([line("USER "), line("WORKDIR "), line("VOLUME ")], [USER, "/var/lib/hooks", "/var/lib/hooks"]);
        let (how, test) = line("HEALTHCHECK").split_once(" CMD ").unwrap();
        assert_eq!(how, "--interval=10s --timeout=6s --start-period=30s --retries=3");
        let test: Vec<Value> = serde_json::from_str(test).unwrap();
        assert_eq!(test, config["Healthcheck"]["Test"].as_array().unwrap()[1..]);
        assert_eq!(json!({ format!("{}/tcp", line("EXPOSE ")): {} }), config["ExposedPorts"]);
        // Of engines.
        assert_eq!(config["StopSignal"], found("STOPSIGNAL ").unwrap_or("SIGTERM"));
        assert!(text.contains("\nRUN cargo build --locked --profile dist --package hooks-cli --bin hooks\n"));
        let program = config["Entrypoint"][0].as_str().unwrap();
        let (_, settings) = root::FILES.iter().find(|(from, _)| *from == "hooks.toml").unwrap();
        let copied: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("COPY --from=build ")).collect();
        let expected = [
            format!("/source/target/dist/hooks {program}"),
            format!("/source/LICENSE /{}/LICENSE", super::super::stage::DOCS),
            format!("/source/deploy/image/hooks.toml /{settings}"),
            format!("--chown={USER} /volume /{VOLUME}"),
        ];
        assert_eq!(copied, expected);
        assert!(read("LICENSE").is_ok() && read("deploy/image/hooks.toml").is_ok());
    }

    /// Built files are gigabytes: none of them is copied to where the program is compiled.
    #[test]
    fn an_engine_is_sent_nothing_that_is_made_here() {
        let (ours, engines) = (read(".gitignore").unwrap(), read(".dockerignore").unwrap());
        for made in ours.lines().chain([".git"]) {
            // Both begin at the top, with the slash or without.
            let name = made.trim_start_matches('/');
            assert!(engines.lines().any(|ignored| ignored == name), "{made}");
        }
    }
}
