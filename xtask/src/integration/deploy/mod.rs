//! `deploy/compose.yaml` and `deploy/kubernetes`: they fit the schemas of those who read them, and each other, and every
//! config in them is a right one.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::bench::{Bench, Integration, write};
use crate::packages::{self, Package};
use crate::workspace::{self, Done};

pub(super) const INTEGRATION: Integration = Integration {
    name: "deploy",
    shows: "docker-compose and the schemas of Kubernetes take what is in deploy, and hooks the configs in it",
    needs: &[
        Package { program: "python3", package: "python3" },
        Package { program: "pip3", package: "python3-pip" },
        Package { program: "docker-compose", package: "docker-compose" },
    ],
    run,
};

/// Has the schemas of Kubernetes in it.
const SCHEMAS: &str = "kubernetes-validate==1.37.0";

/// Secrets and variables that configs ask for. None is used.
const TOKEN: &str = "dGhlIHRva2VuIG9mIGEgdGVzdA";
const KEY: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

fn run(bench: &Bench) -> Done {
    let deploy = workspace::root().join("deploy");
    compose(&deploy.join("compose.yaml"))?;
    let (secrets, configs) = (bench.path("secrets"), bench.path("configs"));
    for folder in [&secrets, &configs] {
        fs::create_dir(folder).map_err(|error| format!("make {}: {error}", folder.display()))?;
    }
    write(&secrets.join("token"), TOKEN)?;
    write(&secrets.join("key"), KEY)?;
    let python = packages::python("deploy-python", &[SCHEMAS])?.join("python3");
    let script = bench.path("check.py");
    write(&script, include_str!("check.py"))?;
    workspace::output(Command::new(python).arg(&script).arg(deploy.join("kubernetes")).args([&secrets, &configs]))?;
    let files = fs::read_dir(&configs).map_err(|error| format!("read {}: {error}", configs.display()))?;
    let mut files: Vec<_> = files.filter_map(|entry| Some(entry.ok()?.path())).collect();
    if files.len() < 3 {
        return Err(format!("only these configs were found in deploy/kubernetes: {files:?}"));
    }
    files.push(deploy.join("image/hooks.toml"));
    files.iter().try_for_each(|file| check(&bench.hooks, file))
}

/// The file is right, and asks for its token.
fn compose(file: &Path) -> Done {
    let config = |token: Option<&str>| {
        let mut compose = Command::new("docker-compose");
        compose.arg("--file").arg(file).args(["config", "--quiet"]).env_remove("HOOKS_TOKEN");
        compose.envs(token.map(|token| ("HOOKS_TOKEN", token)));
        workspace::output(&mut compose)
    };
    config(Some(TOKEN))?;
    match config(None) {
        Err(why) if why.contains("HOOKS_TOKEN") => Ok(()),
        said => Err(format!("without HOOKS_TOKEN docker-compose says {said:?}")),
    }
}

fn check(hooks: &Path, config: &Path) -> Done {
    let mut check = Command::new(hooks);
    check.args(["check", "--for", "serve", "-c"]).arg(config);
    check.env("HOOKS_TOKEN", TOKEN);
    workspace::output(&mut check).map(drop)
}
