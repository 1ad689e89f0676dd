//! Asks the receiver whether it wants to be delivered to.

use std::time::SystemTime;

use hooks_core::sink::DeliveryError;
use http::header::{CONNECTION, RETRY_AFTER};
use http::{HeaderMap, HeaderValue};

use super::HttpSink;
use crate::answered::{Answered, Asking};
use crate::connection_state::ConnectionState;
use crate::grant::{Granted, Handshake, Phase};
use crate::question::{Turn, Withheld};
use crate::timing::Timing;
use crate::{retry_after, transport};

/// Most bytes of the reason why nothing was granted.
const REASON: usize = 300;

impl HttpSink {
    /// Returns when the receiver has granted deliveries: at once, if it did so before. Asks it, unless another lane or
    /// hook is doing so.
    pub(super) async fn obtain_grant(&mut self) -> Result<(), DeliveryError> {
        let Some(handshake) = &mut self.handshake else { return Ok(()) };
        let (turn, _turn) = handshake.turn().await;
        let answer = match turn {
            Turn::Known(_) => Ok(()),
            Turn::Fail(withheld) => Err(withheld),
            Turn::Ask => self.ask_for_grant().await,
        };
        self.set_phase(Phase::Delivers);
        answer.map_err(Withheld::error)
    }

    async fn ask_for_grant(&mut self) -> Result<(), Withheld> {
        self.set_phase(Phase::Asks);
        let answered = self.options().await;
        let answered = match answered {
            Ok(answered) => answered,
            Err(withheld) => {
                self.answered(Err(withheld.clone()));
                return Err(withheld);
            }
        };
        // Before the body, which may never end: what grants is in the head.
        let answer = self.judge_grant(&answered);
        self.answered(answer.clone());
        self.tell(|report| report.answer(&answered, &self.mask));
        self.receive(answered).await;
        self.tell(|report| report.granted(answer.as_ref().err().map(|withheld| &*withheld.what)));
        // It may have called back before it answered.
        let is_granted = self.handshake.as_deref().is_some_and(Handshake::is_granted);
        if is_granted { Ok(()) } else { answer.map(drop) }
    }

    /// Sends the question.
    async fn options(&mut self) -> Result<Answered, Withheld> {
        loop {
            let Some(handshake) = self.handshake.as_deref_mut() else { return Err(Withheld::endpoint(String::new())) };
            let (mut request, name) = (handshake.request(), handshake.name.clone());
            if self.trust.is_lost() {
                request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            self.authorize(request.headers_mut());
            self.tell(|report| report.request(&request, &name, &self.mask));
            self.measure(Timing::ask);
            let answered = self.client.request(request, &mut self.asking).await;
            self.asking = None;
            match answered {
                Ok(answered) => return Ok(answered),
                // Each time with one connection less that had been kept.
                Err(error) if transport::is_unsent(&error) => {}
                Err(error) => {
                    self.tell(|report| report.failed(&error));
                    self.measure(|timing| timing.failed(&error));
                    return Err(Withheld::of(&transport::failed(&name, &error)));
                }
            }
        }
    }

    fn judge_grant(&self, Answered { response, connection, .. }: &Answered) -> Result<Granted, Withheld> {
        let Some(handshake) = self.handshake.as_deref() else { return Err(Withheld::endpoint(String::new())) };
        let is_doubtful = self.trust.is_lost() && connection.as_ref().is_some_and(ConnectionState::is_reused);
        let granted = if is_doubtful {
            Err("it may answer an earlier request: the receiver sends more than it is asked for".to_owned())
        } else {
            handshake.read(response.headers())
        };
        granted.map_err(|why| {
            let why = self.mask.excerpt(why.as_bytes(), REASON);
            let what = handshake.not_granted(&format!("{why} ({})", response.status().as_u16()));
            Withheld { retry_after: wait(response.headers()), ..Withheld::endpoint(what) }
        })
    }

    fn answered(&self, answer: Result<Granted, Withheld>) {
        if let Some(handshake) = self.handshake.as_deref() {
            handshake.answered(answer);
        }
    }

    fn set_phase(&mut self, phase: Phase) {
        if let Some(handshake) = &mut self.handshake {
            handshake.phase = phase;
        }
    }

    /// The result of an attempt whose time was over before there was a grant.
    pub(super) fn cut_short_ungranted(&mut self) -> Option<DeliveryError> {
        let withheld = self.handshake.as_deref_mut().and_then(Handshake::cut_short)?;
        if let Some(asking) = self.asking.take() {
            Asking::give_up(&asking);
        }
        self.received = None;
        self.tell(|report| report.granted(Some(&withheld.what)));
        Some(withheld.error())
    }
}

fn wait(headers: &HeaderMap) -> Option<std::time::Duration> {
    retry_after::parse(headers.get(RETRY_AFTER)?.to_str().ok()?, SystemTime::now())
}
