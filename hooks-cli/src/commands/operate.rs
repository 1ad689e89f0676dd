//! `hooks status`, `hooks enable`, `hooks disable`, `hooks forget`.

use std::fmt::Write as _;
use std::path::Path;

use hooks_core::{BoxError, ByteSize, Hook, HookId, HookReport, Lag, bus::Purpose, chain, timestamp};
use hooks_server::admin::{AdminClient, Request, Status};

use super::{print, runtime, warn};
use crate::args::operate::{HookArgs, StatusArgs, WhomArgs};
use crate::config::{self, ConfiguredBus, Origin, Problem, Problems, WithoutBus};
use crate::console::complain;
use crate::exit::Exit;
#[cfg(feature = "http")]
use crate::operator::Remote;
use crate::operator::{Managed, Operator};
use crate::outcome;

/// Runs a conversation with whoever answers there.
pub(super) fn converse(
    whom: &WhomArgs,
    purpose: Purpose,
    talk: impl AsyncFnOnce(&mut Operator) -> Result<Exit, BoxError>,
) -> Exit {
    let whom = match Whom::new(whom) {
        Ok(whom) => whom,
        Err(exit) => return exit,
    };
    let ended = runtime().map_err(BoxError::from).and_then(|runtime| runtime.block_on(whom.talk(purpose, talk)));
    ended.unwrap_or_else(|error| {
        complain(chain(&*error));
        Exit::Failed
    })
}

/// Runs a conversation with a daemon, which has to run, about the hooks that it manages.
pub(super) fn with_daemon(whom: &WhomArgs, talk: impl AsyncFnOnce(&mut Managed) -> Result<Exit, BoxError>) -> Exit {
    let whom = match Whom::new(whom) {
        Ok(whom) => whom,
        Err(exit) => return exit,
    };
    let talk = async { talk(&mut Managed::new(whom.daemon().await?)).await };
    let ended = runtime().map_err(BoxError::from).and_then(|runtime| runtime.block_on(talk));
    ended.unwrap_or_else(|error| {
        complain(chain(&*error));
        Exit::Failed
    })
}

/// Who is asked.
enum Whom {
    /// Those that have this bus, with the hooks of the config file.
    Bus(Box<ConfiguredBus>, Vec<Hook>),
    #[cfg(feature = "http")]
    Remote(AdminClient),
}

impl Whom {
    /// Or the exit code, once it is said what is wrong.
    fn new(args: &WhomArgs) -> Result<Self, Exit> {
        #[cfg(feature = "http")]
        if let Some(url) = &args.place.url {
            let remote = Remote::new(url.clone(), args.token_file.as_deref());
            return remote.map(|remote| Self::Remote(AdminClient::over(remote))).map_err(|error| {
                complain(chain(&*error));
                Exit::Usage
            });
        }
        let found = find(args.place.config.as_deref(), args.place.dir.as_deref());
        found.map(|(bus, hooks)| Self::Bus(Box::new(bus), hooks)).map_err(|problems| {
            complain(format_args!(
                "{problems}\nwith `--dir` and the folder of a durable bus in place of `-c` no config file is read"
            ));
            Exit::Config
        })
    }

    /// The daemon itself.
    async fn daemon(self) -> Result<AdminClient, BoxError> {
        let bus = match self {
            #[cfg(feature = "http")]
            Self::Remote(client) => return Ok(client),
            Self::Bus(bus, _) => bus,
        };
        let Some(folder) = bus.folder() else {
            return Err(format!("a daemon with the `{}` bus is asked at its address, with --url", bus.kind()).into());
        };
        AdminClient::connect(folder).await?.ok_or_else(|| {
            let folder = folder.display();
            format!("no daemon has the folder `{folder}`: start `hooks serve`, or ask another one with --url").into()
        })
    }

    async fn talk(
        self,
        purpose: Purpose,
        talk: impl AsyncFnOnce(&mut Operator) -> Result<Exit, BoxError>,
    ) -> Result<Exit, BoxError> {
        let mut operator = match self {
            Self::Bus(bus, hooks) => operator_of(&bus, hooks, purpose).await?,
            #[cfg(feature = "http")]
            Self::Remote(client) => Operator::Daemon(Box::new(client)),
        };
        let result = talk(&mut operator).await;
        operator.close().await;
        result
    }
}

/// The bus, and the hooks of the config file where there is one.
pub(super) fn find(config: Option<&Path>, dir: Option<&Path>) -> Result<(ConfiguredBus, Vec<Hook>), Problems> {
    let Some(file) = config else {
        let bus = ConfiguredBus::on_disk(dir.unwrap_or(Path::new("")));
        let problem = |why| Problems { file: "--dir".to_owned(), list: vec![Problem::new(None, why)] };
        return Ok((bus.map_err(problem)?, Vec::new()));
    };
    let config = config::load(&Origin::from(file), WithoutBus::OnDisk)?;
    warn(&config);
    Ok((config.bus, config.hooks.into_iter().map(|hook| hook.hook).collect()))
}

async fn operator_of(bus: &ConfiguredBus, hooks: Vec<Hook>, purpose: Purpose) -> Result<Operator, BoxError> {
    if !bus.traits().outlives_process {
        let kind = bus.kind();
        return Err(format!("the `{kind}` bus keeps nothing outside of its process, so there is nothing to ask: a running `hooks serve` answers at its address, with --url").into());
    }
    Operator::find(bus, hooks, purpose).await
}

pub(crate) fn status(args: &StatusArgs) -> Exit {
    converse(&args.whom, Purpose::Look, async |operator| {
        let Status { hooks, running, trouble, reload } = operator.status().await?;
        if args.json {
            hooks.iter().try_for_each(|hook| serde_json::to_string(hook).map(|line| print(&(line + "\n"))))?;
        } else {
            print(&table(&hooks));
        }
        if !running {
            complain(operator.source());
        }
        if let Some(reload) = &reload {
            complain(format_args!("the daemon runs with what it had before the last reload: {reload}"));
        }
        if let Some(trouble) = &trouble {
            complain(format_args!("nothing goes on: {trouble}"));
        }
        Ok(if operator.knows_nothing().is_some() || trouble.is_some() { Exit::Failed } else { Exit::Done })
    })
}

pub(crate) fn set_enabled(args: &HookArgs, enabled: bool) -> Exit {
    let done = if enabled { "enabled" } else { "disabled" };
    change(args, done, |hook| if enabled { Request::Enable { hook } } else { Request::Disable { hook } })
}

pub(crate) fn forget(args: &HookArgs) -> Exit {
    change(args, "forgotten", |hook| Request::Forget { hook })
}

fn change(args: &HookArgs, done: &str, request: impl FnOnce(HookId) -> Request) -> Exit {
    converse(&args.whom, Purpose::Operate, async |operator| {
        operator.ask(request(args.id.clone())).await?;
        print(&format!("hook `{}` is {done}\n", args.id));
        Ok(Exit::Done)
    })
}

type Column = (&'static str, fn(&HookReport) -> Option<String>);

/// The columns, by their heads.
const COLUMNS: [Column; 7] = [
    ("hook", |hook| Some(hook.id.to_string())),
    ("state", |hook| Some(state(hook))),
    ("delivered", |hook| Some(hook.counts.as_ref()?.events.delivered.to_string())),
    ("behind", |hook| hook.lag.as_ref().map(|lag| format!("{}{}", bound(lag, "≤"), lag.events))),
    ("bytes", |hook| hook.lag.as_ref().map(|lag| format!("{}{}", bound(lag, "≤"), ByteSize::new(lag.bytes)))),
    ("since", |hook| hook.lag.as_ref().and_then(|lag| Some(format!("{}{}", bound(lag, "≥"), timestamp(lag.oldest?))))),
    ("dead letters", |hook| Some(hook.dead_letters.to_string())),
];

/// Further columns for daemons that share hooks.
const SHARED: [Column; 2] =
    [("owner", |hook| hook.owner.clone()), ("position", |hook| hook.position.map(|position| position.to_string()))];

fn table(hooks: &[HookReport]) -> String {
    let shared = if hooks.iter().any(|hook| hook.position.is_some()) { &SHARED[..] } else { &[] };
    let columns = || COLUMNS.iter().chain(shared);
    let head = columns().map(|(head, _)| (*head).to_owned()).collect::<Vec<_>>();
    let row = |hook| columns().map(|(_, cell)| cell(hook).unwrap_or_else(|| "-".to_owned())).collect();
    let mut text = outcome::columns(&std::iter::once(head).chain(hooks.iter().map(row)).collect::<Vec<_>>());
    for hook in hooks {
        if let Some(error) = &hook.last_error {
            let _ = writeln!(text, "hook `{}`: {error}", hook.id);
        }
    }
    text
}

/// What stands before a number that is no exact one.
fn bound(lag: &Lag, sign: &'static str) -> &'static str {
    if lag.exact { "" } else { sign }
}

/// The state of a hook, with who disabled it.
fn state(hook: &HookReport) -> String {
    let Some(disabled) = &hook.disabled else { return hook.state.clone() };
    let disabled = format!("disabled by {:?}", disabled.by).to_lowercase();
    if hook.state == "disabled" { disabled } else { format!("{}, {disabled}", hook.state) }
}
