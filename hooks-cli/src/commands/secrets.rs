//! `hooks secrets`: the keys that seal the definitions of hooks.

use hooks_core::{BoxError, bus::Purpose};
use hooks_server::Keys;
use hooks_server::admin::{Rekeyed, Request, Response};

use super::operate::converse;
use super::{print, serve};
use crate::args::manage::{RekeyArgs, SecretsCommand};
use crate::args::operate::PlaceArgs;
use crate::config::{self, Origin, WithoutBus};
use crate::console::complain;
use crate::exit::Exit;
use crate::operator::Operator;
use crate::outcome::count;

pub(crate) fn run(command: &SecretsCommand) -> Exit {
    match command {
        SecretsCommand::Rekey(args) => rekey(args),
    }
}

fn rekey(args: &RekeyArgs) -> Exit {
    converse(&args.whom, Purpose::Operate, async |operator| {
        // A daemon has its own.
        operator.manage_definitions(|| keys(&args.whom.place))?;
        if let Some(first) = first_key(args)? {
            let key = ask(operator, true).await?.key;
            if key != first {
                return Err(format!("nothing was sealed anew: the daemon seals with key {key}, and the first key of the file is {first}: reload the daemon (SIGHUP), see in its log that this succeeded, and try again").into());
            }
        }
        let rekeyed = ask(operator, args.dry_run).await?;
        print(&said(&rekeyed, args.dry_run));
        for failed in &rekeyed.failed {
            complain(format_args!("hook `{}`: {}", failed.hook, failed.why));
        }
        Ok(if rekeyed.failed.is_empty() { Exit::Done } else { Exit::Failed })
    })
}

async fn ask(operator: &mut Operator, dry_run: bool) -> Result<Rekeyed, BoxError> {
    match operator.ask(Request::Rekey { dry_run }).await? {
        Response::Rekeyed(rekeyed) => Ok(rekeyed),
        _ => Err("an answer to another question".into()),
    }
}

/// The id of the key that is first in the file, which the daemon may not have read yet. `None`: the file is elsewhere.
fn first_key(args: &RekeyArgs) -> Result<Option<String>, BoxError> {
    let place = &args.whom.place;
    match keys(place) {
        Ok(keys) => Ok(keys.ids().next()),
        // Only the config file knows which one it is.
        Err(error) if place.config.is_some() => Err(error),
        Err(_) => Ok(None),
    }
}

fn said(Rekeyed { key, rekeyed, current, .. }: &Rekeyed, dry_run: bool) -> String {
    let sealed = count(*rekeyed as u64, "definition");
    let done = if dry_run { "would be sealed" } else { "sealed" };
    format!("{sealed} {done} anew with key {key}; {current} had it already\n")
}

/// The keys that a daemon would seal with.
fn keys(place: &PlaceArgs) -> Result<Keys, BoxError> {
    let Some(file) = &place.config else { return serve::keys::kept(None, place.dir.as_deref()) };
    let config =
        config::load(&Origin::from(file.as_path()), WithoutBus::OnDisk).map_err(|problems| problems.to_string())?;
    serve::keys::kept(config.api.secrets_key_file.as_deref(), config.bus.folder())
}
