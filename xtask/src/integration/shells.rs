//! The scripts of `hooks completions`, in the shells that they are for.

use std::process::Command;

use super::bench::{Bench, Integration, write};
use crate::packages::Package;
use crate::workspace::{self, Done};

pub(super) const INTEGRATION: Integration = Integration {
    name: "shells",
    shows: "bash, zsh and fish complete commands, options and the names of hooks",
    needs: &[
        Package { program: "bash", package: "bash" },
        Package { program: "zsh", package: "zsh" },
        Package { program: "fish", package: "fish" },
    ],
    run,
};

const CONFIG: &str = "[[hooks]]\nid = \"billing\"\nsink = { kind = \"file\", path = \"/tmp/billing.jsonl\" }\n\
                      [[hooks]]\nid = \"stock\"\nsink = { kind = \"file\", path = \"/tmp/stock.jsonl\" }\n";

/// What each prints for the line in `$LINE`.
const SHELLS: [(&str, &[&str]); 3] = [
    (
        "bash",
        &[
            "-c",
            r#"source <(hooks completions bash)
COMP_LINE=$LINE COMP_POINT=${#LINE} COMP_CWORD=$(( $(wc -w <<< "$LINE") - 1 ))
read -ra COMP_WORDS <<< "$LINE"
_hooks_or_names hooks "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\n' "${COMPREPLY[@]}""#,
        ],
    ),
    // Only what a key press would call is made up.
    (
        "zsh",
        &[
            "-f",
            "-c",
            r#"compdef() { : }
source <(hooks completions zsh)
compadd() { [[ $1 == -a ]] && print -l -- ${(P)2} }
_hooks_options() { print -- options }
words=(${(z)LINE}) CURRENT=${#words}
_hooks"#,
        ],
    ),
    ("fish", &["--no-config", "-c", "hooks completions fish | source; complete --do-complete $LINE"]),
];

fn run(bench: &Bench) -> Done {
    write(&bench.path("hooks.toml"), CONFIG)?;
    for (shell, args) in SHELLS {
        let names = completed(bench, shell, args, "hooks get -c hooks.toml bil")?;
        if !names.lines().any(|line| line.trim_end() == "billing") {
            return Err(format!("{shell} offers {names:?} for the name of a hook"));
        }
        let others = completed(bench, shell, args, "hooks get -c hooks.toml --js")?;
        if names.contains("stock") || others.contains("billing") {
            return Err(format!("{shell} offers {names:?} for a name, and {others:?} for an option"));
        }
        if !others.contains(if shell == "zsh" { "options" } else { "--json" }) {
            return Err(format!("{shell} offers {others:?} for an option"));
        }
    }
    Ok(())
}

fn completed(bench: &Bench, shell: &str, args: &[&str], line: &str) -> Result<String, String> {
    let folder = bench.hooks.parent().ok_or("hooks is in no folder")?.display();
    let path = format!("{folder}:{}", std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new(shell);
    command.args(args).current_dir(bench.path("")).env("PATH", path).env("LINE", line);
    workspace::output(&mut command)
}
