//! From names to addresses, within the guard.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use hooks_core::BoxError;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::guard::Guard;
use crate::trace::{Phase, Trace};

/// Asks somebody for the addresses of a name.
pub(crate) type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// The system's resolver: `/etc/hosts`, DNS and what else it is set up with.
pub(crate) fn system() -> Lookup {
    Arc::new(|name| {
        Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect()) })
    })
}

/// Finds the addresses to connect to. What it returns is connected to without a further look-up, so each
/// address that is used was judged.
pub(crate) struct Resolver {
    pub(crate) lookup: Lookup,
    pub(crate) guard: Option<Guard>,
    pub(crate) trace: Option<Arc<Trace>>,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let looking = (self.lookup)(name.as_str().to_owned());
        let (guard, trace) = (self.guard.clone(), self.trace.clone());
        Box::pin(async move {
            trace.iter().for_each(|trace| trace.begin(Phase::Resolve));
            let found = looking.await?;
            trace.iter().for_each(|trace| trace.resolved(&found));
            let open = match &guard {
                Some(guard) => guarded(guard, found)?,
                None => found,
            };
            // The port is the url's.
            Ok(Box::new(open.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}

/// Those that the guard lets through. If there is none, why the first was refused.
fn guarded(guard: &Guard, found: Vec<IpAddr>) -> Result<Vec<IpAddr>, BoxError> {
    let mut first = None;
    let judge = |address: &IpAddr| match guard.judge(*address) {
        Ok(()) => true,
        Err(refused) => {
            first.get_or_insert(refused);
            false
        }
    };
    let open: Vec<_> = found.into_iter().filter(judge).collect();
    match first {
        Some(refused) if open.is_empty() => Err(refused.into()),
        _ => Ok(open),
    }
}
