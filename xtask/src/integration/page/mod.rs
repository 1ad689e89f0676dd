//! The page at `/ui/`, in Debian's Chromium: what people do there, what axe-core says of it, 100,000 hooks, and a daemon that
//! dies meanwhile. Pictures of the main views go to `target/page`.

use std::process::Command;

use super::bench::{Bench, Integration, write};
use crate::packages::{self, Package};
use crate::workspace::{self, Done};

pub(super) const INTEGRATION: Integration = Integration {
    name: "page",
    shows: "the page at /ui/ works in Chromium (playwright-core, npm), and axe-core (npm) finds nothing in it",
    needs: &[
        Package { program: "node", package: "nodejs" },
        Package { program: "npm", package: "npm" },
        Package { program: "chromium", package: "chromium" },
    ],
    run,
};

/// What is installed from npm.
const PACKAGES: [&str; 2] = ["playwright-core@1.65.1", "axe-core@4.14.1"];

/// What people do, and what they share.
const FILES: [(&str, &str); 7] = [
    ("main.mjs", include_str!("main.mjs")),
    ("world.mjs", include_str!("world.mjs")),
    ("newcomer.mjs", include_str!("newcomer.mjs")),
    ("operator.mjs", include_str!("operator.mjs")),
    ("customers.mjs", include_str!("customers.mjs")),
    ("odd.mjs", include_str!("odd.mjs")),
    ("crowd.mjs", include_str!("crowd.mjs")),
];

fn run(bench: &Bench) -> Done {
    let folder = bench.folder.path();
    for (name, text) in FILES {
        write(&folder.join(name), text)?;
    }
    packages::npm(folder, &PACKAGES)?;
    let pictures = workspace::root().join("target/page");
    let mut node = Command::new("node");
    node.current_dir(folder).arg("main.mjs").arg(&bench.hooks).arg(folder).arg(pictures);
    let status = node.status().map_err(|error| format!("can't run node: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("the page does not work: {status}")) }
}
