//! The client of a daemon.

use std::error::Error;
use std::fmt;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use hooks_core::{BoxError, HumanDuration, async_trait};
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use super::attempts;
use super::request::Request;
use super::response::{Problem, Response};
use super::socket;
use crate::history::{AttemptQuery, AttemptReport};

/// The longest time that a daemon may take for what asks no receiver.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// How an [`AdminClient`] reaches a daemon: over the socket in its folder, or another way of yours.
#[async_trait]
pub trait Exchange: fmt::Debug + Send {
    /// The daemon's name in errors: its address, say.
    fn name(&self) -> String;

    /// Sends a request, whose URI is a path (`/v1/status`), and waits for the answer: for as long as `limit`, if it has one.
    ///
    /// # Errors
    /// When there is no answer, or it is not a daemon's. What was asked may have been done all the same.
    async fn exchange(
        &mut self,
        request: http::Request<Vec<u8>>,
        limit: Option<Duration>,
    ) -> Result<http::Response<Vec<u8>>, BoxError>;

    /// Sends a request whose answer comes bit by bit, and hands on each bit until the last. An answer that is no success
    /// is returned whole.
    ///
    /// # Errors
    /// As for [`exchange`](Self::exchange); without it nothing can be followed.
    async fn stream(
        &mut self,
        _request: http::Request<Vec<u8>>,
        _take: &mut (dyn for<'b> FnMut(&'b [u8]) + Send),
    ) -> Result<http::Response<Vec<u8>>, BoxError> {
        Err("nothing can be followed in this way".into())
    }
}

/// A client of a daemon, for operators.
#[derive(Debug)]
pub struct AdminClient(Box<dyn Exchange>);

impl AdminClient {
    /// Asks over this.
    pub fn over(exchange: impl Exchange + 'static) -> Self {
        Self(Box::new(exchange))
    }

    /// Connects to the [`AdminSocket`](super::AdminSocket) of the daemon that has this folder. `None`: none listens there.
    ///
    /// # Errors
    /// When one may listen and can't be reached.
    pub async fn connect(folder: &Path) -> Result<Option<Self>, BoxError> {
        Ok(OverSocket::connect(folder).await?.map(Self::over))
    }

    /// Sends a request of another route, whose URI is a path, and waits 15 s at most for the answer.
    ///
    /// # Errors
    /// As for [`ask`](Self::ask).
    pub async fn send(&mut self, request: http::Request<Vec<u8>>) -> Result<http::Response<Vec<u8>>, BoxError> {
        self.0.exchange(request, Some(ANSWER_TIMEOUT)).await
    }

    /// The daemon's name in errors.
    pub fn name(&self) -> String {
        self.0.name()
    }

    /// Asks, and waits for the answer. A replay or resend takes as long as its deliveries do, sealing anew as long as there are
    /// definitions, anything else 15 s at most.
    ///
    /// # Errors
    /// When there is no answer. What was asked may have been done all the same.
    pub async fn ask(&mut self, request: &Request) -> Result<Response, BoxError> {
        let limit = (!matches!(request, Request::Replay { .. } | Request::Resend { .. } | Request::Rekey { .. }))
            .then_some(ANSWER_TIMEOUT);
        let answer = self.0.exchange(http_request(request)?, limit).await?;
        response(request, answer.status(), answer.body()).map_err(|error| {
            let (name, status) = (self.0.name(), answer.status());
            format!("{name} answers {status} as no daemon of this version does ({error}): is it one?").into()
        })
    }
}

impl AdminClient {
    /// Shows attempts as they end, until the daemon does.
    ///
    /// # Errors
    /// When there is no answer, or it is that this can't be.
    pub async fn follow(
        &mut self,
        which: &AttemptQuery,
        show: &mut (dyn FnMut(AttemptReport) + Send),
    ) -> Result<(), BoxError> {
        let request = http::Request::get(attempts::path_of(which) + "&follow=true").body(Vec::new())?;
        let mut rest = Vec::new();
        let mut take = |bytes: &[u8]| {
            rest.extend_from_slice(bytes);
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                // Empty lines mean nothing.
                serde_json::from_slice(&line).into_iter().for_each(&mut *show);
            }
        };
        let answer = self.0.stream(request, &mut take).await?;
        match answer.status().is_success() {
            true => Ok(()),
            false => Err(serde_json::from_slice::<Problem>(answer.body())?.into()),
        }
    }
}

/// A connection to a daemon's socket.
#[derive(Debug)]
struct OverSocket(SendRequest<Full<Bytes>>);

impl OverSocket {
    async fn connect(folder: &Path) -> Result<Option<Self>, BoxError> {
        let unreachable = |error: &dyn Error| {
            let path = folder.join(socket::SOCKET);
            BoxError::from(format!("{}: can't talk to the daemon: {error}", path.display()))
        };
        let stream = match socket::connect(folder).await {
            Ok(stream) => stream,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
                return Ok(None);
            }
            Err(error) => return Err(unreachable(&error)),
        };
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| unreachable(&error))?;
        // It ends with the sender. What goes wrong on it, who waits for an answer hears.
        tokio::spawn(connection);
        Ok(Some(Self(sender)))
    }

    async fn send(&mut self, request: http::Request<Vec<u8>>) -> Result<http::Response<Incoming>, hyper::Error> {
        let mut request = request.map(|body| Full::new(Bytes::from(body)));
        request.headers_mut().insert(HOST, HeaderValue::from_static("localhost"));
        self.0.ready().await?;
        self.0.send_request(request).await
    }

    async fn answer(&mut self, request: http::Request<Vec<u8>>) -> Result<http::Response<Vec<u8>>, hyper::Error> {
        let (head, body) = self.send(request).await?.into_parts();
        Ok(http::Response::from_parts(head, body.collect().await?.to_bytes().into()))
    }
}

#[async_trait]
impl Exchange for OverSocket {
    fn name(&self) -> String {
        "what listens at the folder's socket".to_owned()
    }

    async fn exchange(
        &mut self,
        request: http::Request<Vec<u8>>,
        limit: Option<Duration>,
    ) -> Result<http::Response<Vec<u8>>, BoxError> {
        let answer = self.answer(request);
        let answer = match limit {
            None => answer.await,
            Some(limit) => timeout(limit, answer).await.map_err(|_| {
                let waited = HumanDuration::new(limit);
                format!("the daemon has the folder and does not answer for {waited}: it hangs, or somebody stopped it; what was asked may still be done")
            })?,
        };
        answer.map_err(|error| match error.is_parse() {
            true => "what listens there answers no HTTP: a daemon of another version, say".into(),
            // However its end shows here: nothing came, half an answer, or an error.
            false => "the daemon went away before it answered: `hooks status` and `hooks dead-letters list` show what was done".into(),
        })
    }

    async fn stream(
        &mut self,
        request: http::Request<Vec<u8>>,
        take: &mut (dyn for<'b> FnMut(&'b [u8]) + Send),
    ) -> Result<http::Response<Vec<u8>>, BoxError> {
        let (head, mut body) = self.send(request).await?.into_parts();
        if !head.status.is_success() {
            return Ok(http::Response::from_parts(head, body.collect().await?.to_bytes().into()));
        }
        while let Some(frame) = body.frame().await {
            // A daemon that ends breaks the answer off.
            let Ok(frame) = frame else { break };
            if let Some(data) = frame.data_ref() {
                take(data);
            }
        }
        Ok(http::Response::from_parts(head, Vec::new()))
    }
}

/// The request of a route.
fn http_request(request: &Request) -> Result<http::Request<Vec<u8>>, BoxError> {
    let of = |hook, rest| format!("/v1/hooks/{hook}{rest}");
    let (method, path, which) = match request {
        Request::Status => (Method::GET, "/v1/status".to_owned(), None),
        Request::Overview => (Method::GET, "/v1/overview".to_owned(), None),
        Request::Log => (Method::GET, "/v1/log".to_owned(), None),
        Request::Enable { hook } => (Method::POST, of(hook, "/enable"), None),
        Request::Disable { hook } => (Method::POST, of(hook, "/disable"), None),
        Request::Forget { hook } => (Method::DELETE, of(hook, "?stopped=true"), None),
        Request::Seek { hook, seek } => (Method::POST, of(hook, "/seek"), Some(serde_json::to_vec(seek)?)),
        Request::DeadLetters { hook, after: None } => (Method::GET, of(hook, "/dead-letters"), None),
        Request::DeadLetters { hook, after: Some(after) } => {
            (Method::GET, of(hook, "/dead-letters") + &format!("?after={after}"), None)
        }
        Request::Replay { hook, which } => {
            (Method::POST, of(hook, "/dead-letters/replay"), Some(serde_json::to_vec(which)?))
        }
        Request::Drop { hook, which } => {
            (Method::POST, of(hook, "/dead-letters/drop"), Some(serde_json::to_vec(which)?))
        }
        Request::Resend { hook, which } => (Method::POST, of(hook, "/resend"), Some(serde_json::to_vec(which)?)),
        Request::Outcomes { position, after } => {
            let after = after.as_ref().map_or_else(String::new, |after| format!("?after={after}"));
            (Method::GET, format!("/v1/events/{position}/outcomes{after}"), None)
        }
        Request::Attempts { which } => (Method::GET, attempts::path_of(which), None),
        Request::Grant { secret, .. } => (Method::POST, format!("/v1/grants/{secret}"), None),
        Request::Events { query } => (Method::GET, format!("/v1/events?{}", query.to_text()), None),
        Request::Rekey { dry_run } => (Method::POST, format!("/v1/secrets/rekey?dry_run={dry_run}"), None),
    };
    let mut head = http::Request::builder().method(method).uri(path);
    if let Request::Grant { headers, .. } = request {
        head = headers.iter().fold(head, |head, (name, value)| head.header(name, value));
    }
    Ok(match which {
        None => head.body(Vec::new())?,
        Some(which) => head.header(CONTENT_TYPE, "application/json").body(which)?,
    })
}

/// The meaning of an answer.
fn response(request: &Request, status: StatusCode, body: &[u8]) -> Result<Response, serde_json::Error> {
    if status != StatusCode::OK {
        return serde_json::from_slice(body).map(Response::Failed);
    }
    Ok(match request {
        Request::Status => Response::Status(serde_json::from_slice(body)?),
        Request::Overview => Response::Overview(serde_json::from_slice(body)?),
        Request::Log => Response::Log(serde_json::from_slice(body)?),
        Request::Enable { .. } | Request::Disable { .. } | Request::Forget { .. } | Request::Grant { .. } => {
            Response::Done(serde_json::from_slice(body)?)
        }
        Request::Seek { .. } => Response::Sought(serde_json::from_slice(body)?),
        Request::DeadLetters { .. } => Response::DeadLetters(serde_json::from_slice(body)?),
        Request::Replay { .. } => Response::Replayed(serde_json::from_slice(body)?),
        Request::Resend { .. } => Response::Resent(serde_json::from_slice(body)?),
        Request::Drop { .. } => Response::Dropped(serde_json::from_slice(body)?),
        Request::Events { .. } => Response::Events(serde_json::from_slice(body)?),
        Request::Outcomes { .. } => Response::Outcomes(serde_json::from_slice(body)?),
        Request::Attempts { .. } => Response::Attempts(serde_json::from_slice(body)?),
        Request::Rekey { .. } => Response::Rekeyed(serde_json::from_slice(body)?),
    })
}

#[cfg(test)]
mod tests {
    use hooks_core::HookId;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{UnixListener, UnixStream};

    use super::*;
    use crate::admin::SOCKET;

    #[tokio::test(start_paused = true)]
    async fn a_daemon_that_hangs_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let _listener = UnixListener::bind(folder.path().join(SOCKET)).unwrap();
        for request in [Request::Status, Request::Log, Request::Enable { hook: HookId::new("a").unwrap() }] {
            let mut client = AdminClient::connect(folder.path()).await.unwrap().unwrap();
            let error = client.ask(&request).await.unwrap_err().to_string();
            assert!(error.contains("does not answer for 15s"), "{error}");
        }
    }

    /// The error of a client whose daemon does this with its connection and goes.
    async fn asked(goes: impl AsyncFnOnce(&mut UnixStream)) -> String {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(SOCKET)).unwrap();
        let goes = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            goes(&mut stream).await;
        };
        let mut client = AdminClient::connect(folder.path()).await.unwrap().unwrap();
        let ((), asked) = tokio::join!(goes, client.ask(&Request::Status));
        asked.unwrap_err().to_string()
    }

    async fn read(stream: &mut UnixStream) {
        let mut head = [0; 1024];
        assert!(stream.read(&mut head).await.unwrap() > 0);
    }

    #[tokio::test]
    async fn a_daemon_that_goes_away_is_named_whatever_it_has_answered_by_then() {
        let whole = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{\"hooks\"";
        // The request stays unread: the operator sees a reset.
        let mut errors = vec![asked(async |_| {}).await];
        for length in [0, 10, whole.len()] {
            let answers = async |stream: &mut UnixStream| {
                read(stream).await;
                stream.write_all(&whole[..length]).await.unwrap();
            };
            errors.push(asked(answers).await);
        }
        for error in errors {
            assert!(error.starts_with("the daemon went away before it answered"), "{error}");
        }
    }

    #[tokio::test]
    async fn whoever_answers_something_else_is_no_daemon_of_this_version() {
        let error = asked(async |stream| {
            read(stream).await;
            stream.write_all(b"{\"failed\":{\"error\":\"not understood\"}}\n").await.unwrap();
        });
        let error = error.await;
        assert!(error.contains("answers no HTTP"), "{error}");
    }
}
