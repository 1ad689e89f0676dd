//! The signing secret in a hook's definition: made, kept and rotated.

use std::time::{Duration, SystemTime};

use hooks_core::sink::{SigningOption, SinkPlugin};
use hooks_core::{HookId, Secret, timestamp};
use http::StatusCode;
use serde_json::Value as Json;

use super::unavailable;
use crate::admin::response::Problem;

/// The place of the signing secret in the table of a sink that signs.
pub(super) struct Signing<'a> {
    option: SigningOption,
    sink: &'a mut serde_json::Map<String, Json>,
}

pub(super) fn signing_secret(table: &mut Json) -> Option<Signing<'_>> {
    let sink = table.get_mut("sink")?.as_object_mut()?;
    let option = SinkPlugin::find(sink.get("kind")?.as_str()?)?.signing()?;
    Some(Signing { option, sink })
}

impl Signing<'_> {
    /// True if nothing is said of a secret, not even that there is none.
    pub(super) fn is_absent(&self) -> bool {
        !self.sink.contains_key(self.option.name)
            && !self.option.instead.iter().any(|name| self.sink.contains_key(*name))
    }

    pub(super) fn value(&self) -> Option<Json> {
        self.sink.get(self.option.name).cloned()
    }

    fn make(&self) -> Result<Secret, Problem> {
        (self.option.make)().map_err(|error| unavailable(format!("no secret can be made: {error}")))
    }
}

/// A hook that says nothing of its secret keeps the one it has; a new one gets one, which is returned.
pub(super) fn fill_in_secret(table: &mut Json, before: Option<&Json>) -> Result<Option<Secret>, Problem> {
    let Some(signing) = signing_secret(table) else { return Ok(None) };
    let mut before = before.cloned();
    let before = before.as_mut().and_then(signing_secret).filter(|known| known.option.name == signing.option.name);
    let name = signing.option.name.to_owned();
    match before {
        // Also one that is not signed stays so.
        Some(before) => {
            if let Some(value) = before.value() {
                signing.sink.insert(name, value);
            }
            Ok(None)
        }
        None => {
            let secret = signing.make()?;
            signing.sink.insert(name, secret.expose().into());
            Ok(Some(secret))
        }
    }
}

pub(super) fn rotate(hook: &HookId, table: &mut Json) -> Result<Secret, Problem> {
    let unsigned = || Problem::new(StatusCode::CONFLICT, format!("hook `{hook}` signs nothing: set a secret first"));
    let signing = signing_secret(table).ok_or_else(unsigned)?;
    let current = match signing.value() {
        Some(Json::Array(list)) => list.into_iter().next(),
        Some(Json::Null) | None => None,
        secret => secret,
    };
    let current = current.ok_or_else(unsigned)?;
    let secret = signing.make()?;
    signing.sink.insert(signing.option.name.to_owned(), vec![secret.expose().into(), current].into());
    Ok(secret)
}

/// A third secret would end the oldest before its time.
pub(super) fn overlaps(hook: &HookId, until: u64) -> Problem {
    let until = timestamp(SystemTime::UNIX_EPOCH + Duration::from_secs(until));
    let why = format!(
        "hook `{hook}` has an old secret that signs beside the new one until {until}: rotate again then, or at once with \"overlap\": \"0s\", which ends all old ones"
    );
    Problem::new(StatusCode::CONFLICT, why)
}

pub(super) fn keep_first_secret(table: &mut Json) {
    if let Some(signing) = signing_secret(table)
        && let Some(secret) = signing.sink.get_mut(signing.option.name)
        && let Json::Array(list) = secret
        && !list.is_empty()
    {
        *secret = list.swap_remove(0);
    }
}
