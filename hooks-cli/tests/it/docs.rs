//! Completions and manual pages are made from the command line's own definitions.

use crate::command::Place;

/// The commands that `hooks --help` lists.
pub(crate) fn commands() -> Vec<String> {
    let help = Place::new("").run(&["--help"]).out;
    let list = help.split("\nCommands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    // Descriptions that are wrapped go on further to the right.
    let lines = list.lines().filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')));
    let names = lines.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

#[test]
fn every_shell_completes_every_command() {
    let place = Place::new("");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ended = place.run(&["completions", shell]);
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
        for command in commands() {
            assert!(ended.out.contains(&command), "{shell}: {command}");
        }
        assert!(ended.out.contains("--timeout") || ended.out.contains("l timeout"), "{shell}");
    }
    assert_eq!(place.run(&["completions", "cmd"]).code, Some(2));
}

/// The words that bash offers for a line, its cursor at the end.
pub(crate) fn completed(place: &Place, line: &str) -> Vec<String> {
    std::fs::write(place.path("hooks.bash"), place.run(&["completions", "bash"]).out).unwrap();
    let complete = r#"source ./hooks.bash
        COMP_LINE=$1 COMP_POINT=${#1}
        read -ra COMP_WORDS <<< "$1"
        [[ "$1" == *" " ]] && COMP_WORDS+=("")
        COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
        function=$(complete -p hooks | sed 's/.*-F \([^ ]*\).*/\1/')
        $function hooks "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
        printf '%s\n' "${COMPREPLY[@]}""#;
    let binary = std::path::PathBuf::from(place.hooks(&[]).get_program());
    let path = format!("{}:{}", binary.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut bash = std::process::Command::new("bash");
    bash.args(["-c", complete, "bash", line]).current_dir(place.path(".")).env("PATH", path);
    let output = bash.output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn the_completions_are_right_for_their_shell() {
    assert_eq!(completed(&Place::new(""), "hooks che"), ["check"]);
}

const THREE: &str = r#"
    [[hooks]]
    id = "billing"
    sink = { kind = "file", path = "/tmp/billing.jsonl" }
    [[hooks]]
    id = "billing-eu"
    sink = { kind = "file", path = "/tmp/billing-eu.jsonl", mistake = 1 }
    [[hooks]]
    id = "stock"
    sink = { kind = "http", url = "https://${NOT_SET}/" }
"#;

/// Also of a file with mistakes, and in a folder where the daemon does not run.
#[test]
fn names_of_hooks_are_completed_from_the_file() {
    let place = Place::new(THREE);
    for command in
        ["get", "delete", "test", "enable", "disable", "forget", "dead-letters list", "dead-letters replay --dry-run"]
    {
        assert_eq!(
            completed(&place, &format!("hooks {command} -c hooks.toml b")),
            ["billing", "billing-eu"],
            "{command}"
        );
        assert_eq!(completed(&place, &format!("hooks {command} ")), ["billing", "billing-eu", "stock"], "{command}");
    }
    assert_eq!(completed(&place, "hooks get -c hooks.toml st"), ["stock"]);
    assert_eq!(completed(&place, "hooks get -c hooks.toml --js"), ["--json"]);
}

/// Whatever is wrong: a key was pressed, and nobody wants an error between the words.
#[test]
fn the_call_for_names_says_nothing_else() {
    let place = Place::new("[[hooks]\n");
    for words in [
        &[][..],
        &["hooks"],
        &["hooks", "get", "-c", "hooks.toml", ""],
        &["hooks", "get", "-c", "missing.toml", ""],
        &["hooks", "get", "--dir", "missing", ""],
        &["hooks", "get", "--url", "http://127.0.0.1:1", ""],
        &["hooks", "get", "--url", "nonsense", "--token-file", "missing", ""],
        &["hooks", "get", "-c", "hooks.toml", "?&x="],
    ] {
        let ended = place.run(&[&["__hooks"], words].concat());
        assert_eq!((ended.code, ended.out.as_str(), ended.err.as_str()), (Some(0), "", ""), "{words:?}");
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let place = Place::new("");
    let ended = place.run(&["man", "pages/man1"]);
    assert_eq!((ended.code, ended.out.as_str(), ended.err.as_str()), (Some(0), "", ""));
    let pages = std::fs::read_dir(place.path("pages/man1")).unwrap();
    let pages: Vec<_> = pages.map(|page| page.unwrap().file_name().into_string().unwrap()).collect();
    for command in commands() {
        assert!(pages.contains(&format!("hooks-{command}.1")), "{command}: {pages:?}");
    }
    assert!(pages.contains(&"hooks-dead-letters-replay.1".to_owned()), "{pages:?}");
    for name in pages {
        let page = place.read(&format!("pages/man1/{name}"));
        for section in ["SYNOPSIS", "\"EXIT STATUS\"", "EXAMPLES\n.EX\n"] {
            assert!(page.starts_with(".ie ") && page.contains(&format!(".SH {section}")), "{name}: {page}");
        }
        assert!(page.contains("\\fB78\\fR\nSomething is wrong with the config file.\n"), "{name}: {page}");
        assert!(!page.contains("EXTRA") && !page.contains("Examples:"), "{name}: {page}");
    }
    let main = place.run(&["man"]).out;
    assert_eq!(main, place.read("pages/man1/hooks.1"));
    assert!(place.read("pages/man1/hooks-log.1").contains("\nExit code 1 if anything is damaged.\n"));
    let ended = place.run(&["man", "hooks.toml"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.starts_with("can't write manual pages into the folder `hooks.toml`: "), "{}", ended.err);
}

/// Help says how a command is used, by example.
#[test]
fn every_command_has_examples() {
    for command in commands() {
        let help = Place::new("").run(&[&command, "--help"]).out;
        let examples = help.split("Examples:\n").nth(1).unwrap_or_else(|| panic!("`{command}` has no examples"));
        assert!(examples.starts_with(&format!("  hooks {command}")), "{help}");
        // None is so long that it is printed as two, of which a shell runs each.
        for line in examples.lines().take_while(|line| line.starts_with("  ")) {
            let program = line.split_whitespace().next().unwrap();
            assert!(["hooks", "tail", "echo", "pkill"].contains(&program), "{help}");
        }
    }
}
