//! `${NAME}` in the strings of a config file.

use std::env::VarError;
use std::fmt;

/// The source of the values of variables.
pub struct Variables<'a> {
    /// The value of `${CONFIG_DIR}`: the absolute path of the folder that the config file is in.
    pub config_dir: Option<&'a str>,
    /// Looks up any other variable; [`std::env::var`] fits.
    pub lookup: &'a dyn Fn(&str) -> Result<String, VarError>,
}

impl fmt::Debug for Variables<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Variables").field("config_dir", &self.config_dir).finish_non_exhaustive()
    }
}

/// The fault of a variable, and how it is written in the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) written: String,
    pub(super) message: String,
}

/// The part of a string that a variable made.
#[derive(Clone)]
pub(super) struct Variable {
    /// As it is written in the file: `${NAME}`, or the whole string around it.
    pub(super) written: String,
    pub(super) value: String,
}

/// Fills in every `${NAME}`; `$$` becomes `$`; any other `$` stays.
pub(super) fn expand(text: &str, variables: &Variables<'_>) -> Result<(String, Vec<Variable>), Vec<Fault>> {
    let (mut filled, mut used, mut faults) = (String::with_capacity(text.len()), Vec::new(), Vec::new());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        filled.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            filled.push('$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('{') {
            let Some((name, after)) = after.split_once('}') else {
                faults.push(Fault {
                    written: "${".to_owned(),
                    message: "`${` without `}`: a variable is written `${NAME}`, and a plain dollar sign `$$`"
                        .to_owned(),
                });
                break;
            };
            match value(name, variables) {
                Ok(value) => {
                    filled.push_str(&value);
                    used.push(Variable { written: format!("${{{name}}}"), value });
                }
                Err(message) => faults.push(Fault { written: format!("${{{name}}}"), message }),
            }
            rest = after;
        } else {
            filled.push('$');
        }
    }
    filled.push_str(rest);
    if faults.is_empty() { Ok((filled, used)) } else { Err(faults) }
}

/// True if a `$` that stays stands before what looks like the name of a variable.
pub(super) fn has_bare_name(text: &str) -> bool {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('$') {
        if after.starts_with(|first: char| first.is_ascii_uppercase() || first == '_') {
            return true;
        }
        rest = after.strip_prefix('$').unwrap_or(after);
    }
    false
}

fn value(name: &str, variables: &Variables<'_>) -> Result<String, String> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.is_empty() || !name.bytes().all(legal) || name.as_bytes()[0].is_ascii_digit() {
        return Err("between `${` and `}` stands the name of a variable: letters, digits and `_`".to_owned());
    }
    if name == "CONFIG_DIR" {
        let unknown = || "the folder of the config file has a name that is not UTF-8".to_owned();
        return variables.config_dir.map(str::to_owned).ok_or_else(unknown);
    }
    (variables.lookup)(name).map_err(|error| match error {
        VarError::NotPresent => format!("the environment variable `{name}` is not set"),
        VarError::NotUnicode(_) => format!("the environment variable `{name}` is not UTF-8"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lookup(name: &str) -> Result<String, VarError> {
        match name {
            "A" => Ok("1".to_owned()),
            "LOOP" => Ok("${A}".to_owned()),
            _ => Err(VarError::NotPresent),
        }
    }

    fn run(text: &str) -> Result<String, Vec<String>> {
        let variables = Variables { config_dir: Some("/etc/hooks"), lookup: &lookup };
        match expand(text, &variables) {
            Ok((text, _)) => Ok(text),
            Err(faults) => Err(faults.into_iter().map(|fault| fault.message).collect()),
        }
    }

    #[test]
    fn fills_in_what_is_set() {
        for (text, filled) in [
            ("", ""),
            ("plain", "plain"),
            ("${A}", "1"),
            ("x${A}y${A}z", "x1y1z"),
            ("${CONFIG_DIR}/out", "/etc/hooks/out"),
            ("US$5 and $$", "US$5 and $"),
            ("$${A}", "${A}"),
            ("$", "$"),
            // What a variable holds is not looked at again.
            ("${LOOP}", "${A}"),
        ] {
            assert_eq!(run(text), Ok(filled.to_owned()), "{text}");
        }
    }

    #[test]
    fn says_everything_that_is_wrong() {
        assert_eq!(
            run("${NO} ${A} ${no-name} ${"),
            Err(vec![
                "the environment variable `NO` is not set".to_owned(),
                "between `${` and `}` stands the name of a variable: letters, digits and `_`".to_owned(),
                "`${` without `}`: a variable is written `${NAME}`, and a plain dollar sign `$$`".to_owned(),
            ])
        );
        assert!(run("${}").is_err());
        assert!(run("${1A}").is_err());
    }

    #[test]
    fn a_name_without_braces_is_noticed() {
        for text in ["$A", "x$A", "$_a", "$$$A", "${A}$B"] {
            assert!(has_bare_name(text), "{text}");
        }
        for text in ["", "$", "US$5", "$metadata", "$$A", "${A}", "$${A}", "$(A)", "A$"] {
            assert!(!has_bare_name(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn text_with_doubled_dollars_is_the_text(text in ".{0,40}") {
            prop_assert_eq!(run(&text.replace('$', "$$")), Ok(text));
        }
    }
}
