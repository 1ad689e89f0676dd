//! Asks a daemon at its address.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hooks_core::{BoxError, HumanDuration, async_trait};
use hooks_server::admin::Exchange;
use http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use reqwest::{Client, RequestBuilder, Url};

use crate::remote::{authorization, builder, can_t_be_reached, why};

/// A daemon at an address.
#[derive(Debug)]
pub(crate) struct Remote {
    client: Client,
    url: Url,
    /// The header, and the file that it is from.
    token: Option<(HeaderValue, PathBuf)>,
}

impl Remote {
    /// # Errors
    /// When the file has no token that can be sent, or TLS can't be set up.
    pub(crate) fn new(url: Url, token_file: Option<&Path>) -> Result<Self, BoxError> {
        let token = token_file.map(|file| Ok::<_, String>((authorization(file)?, file.to_owned())));
        Ok(Self { client: builder(&url)?.build()?, token: token.transpose()?, url })
    }

    /// The address of a path there. The daemon may be below a path itself, behind a proxy.
    ///
    /// # Errors
    /// When the path has a hook `.` or `..`, which in an address are steps.
    fn at(&self, path: &http::Uri) -> Result<Url, String> {
        let mut url = self.url.clone();
        url.set_path(&format!("{}{}", self.url.path().trim_end_matches('/'), path.path()));
        url.set_query(path.query());
        if !url.path().ends_with(path.path()) {
            return Err(
                "a hook `.` or `..` can't be asked for at an address: ask on the daemon's machine, with -c".into()
            );
        }
        Ok(url)
    }

    /// The request, with the token.
    fn begin(&self, url: Url, request: Request<Vec<u8>>) -> RequestBuilder {
        let (head, body) = request.into_parts();
        let request = self.client.request(head.method, url).headers(head.headers).body(body);
        match &self.token {
            Some((token, _)) => request.header(AUTHORIZATION, token),
            None => request,
        }
    }

    async fn send(
        &self,
        url: Url,
        request: Request<Vec<u8>>,
        limit: Option<Duration>,
    ) -> Result<Response<Vec<u8>>, reqwest::Error> {
        let mut request = self.begin(url, request);
        if let Some(limit) = limit {
            request = request.timeout(limit);
        }
        let answer = request.send().await?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let mut answer = Response::new(answer.bytes().await?.into());
        (*answer.status_mut(), *answer.headers_mut()) = (status, headers);
        Ok(answer)
    }

    fn no_answer(&self, error: reqwest::Error, limit: Option<Duration>) -> String {
        let url = &self.url;
        match (error.is_connect(), error.is_timeout(), limit) {
            (true, ..) => can_t_be_reached(url, error),
            (false, true, Some(limit)) => {
                let waited = HumanDuration::new(limit);
                format!("{url} does not answer for {waited}; what was asked may still be done")
            }
            _ => format!("{url} gave no whole answer: {}; what was asked may have been done", why(error)),
        }
    }

    /// The reason why an answer is none of a daemon, or says that it takes another request.
    fn fault(&self, status: StatusCode, headers: &HeaderMap) -> Option<String> {
        let url = &self.url;
        if status == StatusCode::UNAUTHORIZED {
            return Some(match &self.token {
                None => format!("{url} takes a token: give the file that holds it with --token-file ({status})"),
                Some((_, file)) => {
                    let file = file.display();
                    format!(
                        "{url} does not take the token in `{file}`: is it one of `api.tokens` there, and has it not ended? ({status})"
                    )
                }
            });
        }
        if status.is_redirection() {
            let place = text(headers, LOCATION);
            return Some(format!(
                "{url} answers {status} to `{place}`, which is not followed: give the daemon's own address"
            ));
        }
        let media_type = text(headers, CONTENT_TYPE);
        let is_json = ["application/json", "application/problem+json"].contains(&media_type);
        (!is_json).then(|| {
            format!(
                "{url} answers {status} as no daemon does: is it the address of a `hooks serve`, and of this version?"
            )
        })
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

#[async_trait]
impl Exchange for Remote {
    fn name(&self) -> String {
        self.url.to_string()
    }

    async fn exchange(
        &mut self,
        request: Request<Vec<u8>>,
        limit: Option<Duration>,
    ) -> Result<Response<Vec<u8>>, BoxError> {
        let url = self.at(request.uri())?;
        let answer = self.send(url, request, limit).await.map_err(|error| self.no_answer(error, limit))?;
        match self.fault(answer.status(), answer.headers()) {
            Some(fault) => Err(fault.into()),
            None => Ok(answer),
        }
    }

    async fn stream(
        &mut self,
        request: Request<Vec<u8>>,
        take: &mut (dyn for<'b> FnMut(&'b [u8]) + Send),
    ) -> Result<Response<Vec<u8>>, BoxError> {
        let url = self.at(request.uri())?;
        let mut answer = self.begin(url, request).send().await.map_err(|error| self.no_answer(error, None))?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let mut whole = Vec::new();
        while let Ok(Some(bytes)) = answer.chunk().await {
            if status.is_success() { take(&bytes) } else { whole.extend_from_slice(&bytes) }
        }
        match self.fault(status, &headers).filter(|_| !status.is_success()) {
            Some(fault) => Err(fault.into()),
            None => {
                let mut answer = Response::new(whole);
                *answer.status_mut() = status;
                Ok(answer)
            }
        }
    }
}
