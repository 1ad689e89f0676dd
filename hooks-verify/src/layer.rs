//! A layer of tower.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use tower_layer::Layer;
use tower_service::Service;

use crate::{Signed, Verifier};

/// Lets only those requests through that a [`Verifier`] believes, with their bodies in memory.
///
/// The service behind it gets the body as it came, and [`Verified`] in the request's extensions. Other requests are answered
/// here: 401 where the signature is missing or wrong, so that the sender holds the hook and keeps its events, 413 where the
/// body is too long, 503 where it broke off.
///
/// ```
/// use std::convert::Infallible;
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::{BodyExt as _, Full};
/// use hooks_verify::{Verified, Verifier, VerifyLayer, events, refused};
/// use tower_layer::Layer as _;
/// use tower_service::Service as _;
///
/// async fn receive(request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
///     println!("{:?}", request.extensions().get::<Verified>());
///     let Ok(body) = request.into_body().collect().await;
///     Ok(match events(&body.to_bytes()) {
///         Ok(events) => Response::new(refused(events.iter().map(|event| event.id())).into()),
///         Err(_) => Response::builder().status(400).body(Full::default()).expect("a status"),
///     })
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let verifier = Verifier::new(["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"])?;
/// let mut service = VerifyLayer::new(verifier).layer(tower::service_fn(receive));
/// let unsigned = Request::post("/").body(Full::<Bytes>::default())?;
/// assert_eq!(service.call(unsigned).await?.status(), 401);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct VerifyLayer {
    verifier: Arc<Verifier>,
    max_body: usize,
}

/// What is known of a request that a [`VerifyLayer`] let through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// `webhook-id`: the same for a batch that is sent again.
    pub id: String,
}

/// The service that [`VerifyLayer`] makes of another.
#[derive(Debug, Clone)]
pub struct Verify<S> {
    layer: VerifyLayer,
    inner: S,
}

impl VerifyLayer {
    /// The longest body, in bytes, where nothing else is set: 2 MiB.
    pub const MAX_BODY: usize = 2 << 20;

    /// Takes bodies of up to [`MAX_BODY`](Self::MAX_BODY) bytes.
    pub fn new(verifier: impl Into<Arc<Verifier>>) -> Self {
        Self { verifier: verifier.into(), max_body: Self::MAX_BODY }
    }

    /// The longest body, in bytes. It is held in memory.
    #[must_use]
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// The request with its body, or the status of the answer.
    async fn read<B>(self, request: Request<B>) -> Result<Request<Full<Bytes>>, StatusCode>
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let (mut head, body) = request.into_parts();
        // What is not signed at all costs no reading.
        let signed = Signed::from_headers(&head.headers).map_err(|_| StatusCode::UNAUTHORIZED)?;
        let body = Limited::new(body, self.max_body).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() { StatusCode::PAYLOAD_TOO_LARGE } else { StatusCode::SERVICE_UNAVAILABLE }
        })?;
        let body = body.to_bytes();
        let id = self.verifier.verify(&signed, &body, SystemTime::now()).map_err(|_| StatusCode::UNAUTHORIZED)?;
        let verified = Verified { id: id.to_owned() };
        head.extensions.insert(verified);
        Ok(Request::from_parts(head, body.into()))
    }
}

impl<S> Layer<S> for VerifyLayer {
    type Service = Verify<S>;

    fn layer(&self, inner: S) -> Verify<S> {
        Verify { layer: self.clone(), inner }
    }
}

impl<S, B, R> Service<Request<B>> for Verify<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    R: Default,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The one that is ready; its copy has to be asked again.
        let copy = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, copy);
        let read = self.layer.clone().read(request);
        Box::pin(async move {
            match read.await {
                Ok(request) => inner.call(request).await,
                // Whoever guesses is told no more.
                Err(status) => {
                    let mut answer = Response::new(R::default());
                    *answer.status_mut() = status;
                    Ok(answer)
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::time::UNIX_EPOCH;

    const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

    /// A body that breaks off.
    struct Broken;

    impl Body for Broken {
        type Data = Bytes;
        type Error = std::io::Error;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<http_body::Frame<Bytes>, std::io::Error>>> {
            Poll::Ready(Some(Err(std::io::ErrorKind::ConnectionReset.into())))
        }
    }

    async fn echo(request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
        assert_eq!(request.extensions().get(), Some(&Verified { id: "msg_1".into() }));
        Ok(Response::new(request.into_body()))
    }

    async fn answer<B>(signed: &[u8], body: B) -> Response<Full<Bytes>>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let layer = VerifyLayer::new(Verifier::new([SECRET]).unwrap()).max_body(10);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().to_string();
        let signature = crate::verifier::tests::v1(SECRET, "msg_1", &now, signed);
        let request = Request::post("/").header("webhook-id", "msg_1").header("webhook-timestamp", now);
        let request = request.header("webhook-signature", signature).body(body).unwrap();
        layer.layer(tower::service_fn(echo)).call(request).await.unwrap()
    }

    #[tokio::test]
    async fn only_what_is_signed_is_let_through_as_it_came() {
        let passed = answer(b"[ ]", Full::from("[ ]")).await;
        assert_eq!(passed.status(), StatusCode::OK);
        assert_eq!(passed.into_body().collect().await.unwrap().to_bytes(), "[ ]");
        assert_eq!(answer(b"[]", Full::from("[ ]")).await.status(), StatusCode::UNAUTHORIZED);
        let long = Full::from("[         ]");
        assert_eq!(answer(b"[         ]", long).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(answer(b"", Broken).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}
