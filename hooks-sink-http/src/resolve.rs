//! From names to addresses, within the guard.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use hooks_core::{BoxError, Phase};
use hyper_util::client::legacy::connect::dns::Name;
use tower_service::Service;

use crate::guard::Guard;
use crate::lookups::Lookups;
use crate::trace::Trace;

/// Looks up the addresses of a name.
pub(crate) type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// The system's resolver: `/etc/hosts`, DNS and what else it is set up with.
pub(crate) fn system(lookups: Arc<Lookups>) -> Lookup {
    Arc::new(move |name| Box::pin(lookups.clone().find(name)))
}

/// Finds the addresses to connect to. What it returns is connected to without a further look-up, so each
/// address that is used was judged.
#[derive(Clone)]
pub(crate) struct Resolver {
    pub(crate) lookup: Lookup,
    pub(crate) guard: Option<Guard>,
    pub(crate) trace: Arc<Trace>,
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let looking = (self.lookup)(name.as_str().to_owned());
        let (guard, trace) = (self.guard.clone(), self.trace.clone());
        Box::pin(async move {
            trace.begin(Phase::Resolve);
            let found = looking.await.map_err(|source| Unresolved { name: name.as_str().to_owned(), source })?;
            trace.end(format_args!(" ({})", list(&found)));
            let open = match &guard {
                Some(guard) => guarded(guard, found)?,
                None => found,
            };
            trace.begin(Phase::Connect);
            // The port is the url's.
            let addresses: Vec<_> = open.into_iter().map(|address| SocketAddr::new(address, 0)).collect();
            Ok(addresses.into_iter())
        })
    }
}

/// A name that leads nowhere.
#[derive(Debug, thiserror::Error)]
#[error("no address for `{name}`")]
pub(crate) struct Unresolved {
    name: String,
    source: io::Error,
}

fn list(addresses: &[IpAddr]) -> String {
    addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ")
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HttpConfig;
    use crate::client::Client;
    use crate::ready::Ready;
    use crate::tls::Files;
    use crate::transport::{failed, find};
    use hooks_core::sink::FailureClass;
    use http_body_util::Full;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// A resolver that gives one answer after the other.
    fn answering(answers: &[&[&str]]) -> Lookup {
        let parse = |answer: &&[&str]| answer.iter().map(|address| address.parse().unwrap()).collect();
        let (answers, next): (Vec<Vec<IpAddr>>, _) = (answers.iter().map(parse).collect(), AtomicUsize::new(0));
        Arc::new(move |_| {
            let answer = answers[next.fetch_add(1, Ordering::SeqCst)].clone();
            Box::pin(async move { Ok(answer) })
        })
    }

    fn client(lookup: Lookup, allowed: &[&str]) -> Client {
        let mut config = HttpConfig::new("http://rebinding.example/");
        config.guard = true;
        config.allow_cidrs = allowed.iter().map(|cidr| cidr.parse().unwrap()).collect();
        // What the sink uses, but for the look-up.
        Ready::new(&config).unwrap().client.build(&Files::default(), lookup, None).unwrap()
    }

    /// Answers every request with 200, and counts connections.
    async fn listen(address: &str) -> (u16, Arc<AtomicUsize>) {
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let _ = stream.read(&mut [0; 1024]).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await;
            }
        });
        (port, connections)
    }

    async fn post(client: &Client, name: &str, port: u16) -> Result<u16, crate::answered::Unanswered> {
        let request = http::Request::post(format!("http://{name}:{port}/")).body(Full::default()).unwrap();
        Ok(client.request(request, &mut None).await?.response.status().as_u16())
    }

    #[tokio::test]
    async fn a_name_that_changes_its_mind_gains_nothing() {
        let (port, connections) = listen("127.0.0.1").await;
        // Public when the hook was made, this machine when it is delivered to.
        let lookup = answering(&[&["93.184.216.34"], &["127.0.0.1"], &["::1", "169.254.169.254"]]);
        let seen_first = lookup("rebinding.example".to_owned()).await.unwrap();
        assert!(Guard::new(Vec::new()).judge(seen_first[0]).is_ok());
        let client = client(lookup, &[]);
        for address in ["127.0.0.1", "::1"] {
            let error = post(&client, "rebinding.example", port).await.unwrap_err();
            let refused = find::<crate::guard::Refused>(&error).expect("refused by the guard").to_string();
            assert!(refused.starts_with(&format!("the address guard refuses {address} ")), "{refused}");
            let error = failed("POST http://rebinding.example/", &error);
            assert_eq!(error.class, FailureClass::Endpoint, "never split, never dropped");
            assert!(error.chain().contains("the address guard refuses"), "{}", error.chain());
        }
        assert_eq!(connections.load(Ordering::SeqCst), 0, "nothing was connected to");
    }

    #[tokio::test]
    async fn every_connection_is_judged() {
        let (port, allowed) = listen("127.0.0.1").await;
        let client = client(answering(&[&["127.0.0.1"], &["127.0.0.2"], &["127.0.0.2", "127.0.0.1"]]), &["127.0.0.1"]);
        assert_eq!(post(&client, "rebinding.example", port).await.unwrap(), 200);
        assert!(
            post(&client, "rebinding.example", port).await.is_err(),
            "the receiver closed the connection; the name moved on"
        );
        assert_eq!(
            post(&client, "rebinding.example", port).await.unwrap(),
            200,
            "only the address that is allowed is used"
        );
        assert_eq!(allowed.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn localhost_is_resolved_and_refused() {
        let (port, connections) = listen("127.0.0.1").await;
        let client = client(system(Arc::default()), &[]);
        for name in ["localhost", "LOCALHOST", "localhost."] {
            let error = post(&client, name, port).await.unwrap_err();
            // Not every system's resolver knows the name with a dot behind it.
            assert!(find::<crate::guard::Refused>(&error).is_some() || name.ends_with('.'), "{name}: {error:?}");
        }
        assert_eq!(connections.load(Ordering::SeqCst), 0);
    }

    /// Takes connections until its queue is full, and then gives no answer to those that come.
    async fn dead(port: u16) -> (tokio::net::TcpListener, Vec<tokio::net::TcpStream>) {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 2], port));
        socket.bind(address).unwrap();
        let (listener, mut waiting) = (socket.listen(1).unwrap(), Vec::new());
        while let Ok(Ok(stream)) =
            tokio::time::timeout(std::time::Duration::from_millis(200), tokio::net::TcpStream::connect(address)).await
        {
            waiting.push(stream);
        }
        (listener, waiting)
    }

    #[tokio::test]
    async fn an_address_that_gives_no_answer_leaves_time_for_the_next() {
        let (port, connections) = listen("127.0.0.1").await;
        let _dead = dead(port).await;
        let config = HttpConfig::new("http://rebinding.example/");
        let attempt = std::time::Duration::from_secs(20);
        let settings = Ready::new(&config).unwrap().client.within(attempt);
        let client = settings.build(&Files::default(), answering(&[&["127.0.0.2", "127.0.0.1"]]), None).unwrap();
        let answered = tokio::time::timeout(attempt, post(&client, "rebinding.example", port)).await;
        assert_eq!(answered.expect("within an attempt").unwrap(), 200);
        assert_eq!(connections.load(Ordering::SeqCst), 1);
    }
}
