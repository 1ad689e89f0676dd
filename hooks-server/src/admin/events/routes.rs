//! The routes of past events.

use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use hooks_core::TenantId;
use http::StatusCode;

use super::{EventFilter, EventOrder, EventQuery, Moment, ResendFilter, event, operations};
use crate::admin::page;
use crate::admin::response::Problem;
use crate::admin::routes::{Hook, JSON, JsonBody, Whose, answer, bad_request, json, whole};
use crate::admin::{AdminService, Request, Routes};

pub(in crate::admin) fn routes() -> Routes<AdminService> {
    Routes::new().on(operations::list(), list).on(operations::show(), show).on(operations::resend(), resend)
}

async fn list(
    State(service): State<AdminService>,
    Whose(tenant): Whose,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let mut query = read(query.as_deref().unwrap_or_default())?;
    let turn = service.looks().take(tenant.clone())?;
    if let Some(own) = tenant {
        let asked = query.filter.tenant.replace(own.clone());
        if asked.is_some_and(|asked| asked != own) {
            // Of another's events there are none.
            query.after = Some(0);
            query.order = EventOrder::Newest;
        }
    }
    // The look goes on, and takes its turn, when the client goes away.
    let looked = whole(async move {
        let page = service.answer(Request::Events { query }).await;
        drop(turn);
        Ok(page)
    });
    Ok(looked.await.into_response())
}

async fn show(
    State(service): State<AdminService>,
    Whose(tenant): Whose,
    Path(position): Path<String>,
) -> Result<Response, Problem> {
    let position = position.parse().map_err(|_| bad_request("the position of an event is a number"))?;
    let turn = service.looks().take(tenant.clone())?;
    let event = whole(async move {
        let event = event(service.bus(), position, tenant.as_ref()).await;
        drop(turn);
        event
    });
    let event = event.await?;
    Ok(json(StatusCode::OK, JSON, &event))
}

async fn resend(Hook(service, hook): Hook, JsonBody(which): JsonBody<ResendFilter>) -> Response {
    answer(service, Request::Resend { hook, which }).await
}

/// Reads the query of a list.
fn read(query: &str) -> Result<EventQuery, Problem> {
    let mut read = EventQuery::default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let wrong = |why: String| bad_request(format!("{name}: {why}"));
        let moment = || value.parse::<Moment>().map_err(wrong);
        let filter = &mut read.filter;
        match &*name {
            "id" => {
                filter.ids.insert(value.into_owned());
            }
            "source" => filter.sources.push(value.into_owned()),
            "type" => filter.types.push(value.into_owned()),
            "tenant" => filter.tenant = Some(TenantId::new(&*value).map_err(|error| wrong(error.to_string()))?),
            "text" => filter.text = Some(value.into_owned()),
            "since" => filter.since = Some(moment()?),
            "until" => filter.until = Some(moment()?),
            "order" => {
                read.order = match &*value {
                    "newest" => EventOrder::Newest,
                    "oldest" => EventOrder::Oldest,
                    _ => return Err(wrong("expected `newest` or `oldest`".to_owned())),
                }
            }
            "limit" => read.limit = Some(page::limit(&value)?),
            "after" => {
                let after = value.parse().map_err(|_| wrong("expected a position, as `next` of a page".to_owned()))?;
                read.after = Some(after);
            }
            _ => {
                let known = "id, source, type, tenant, text, since, until, order, limit, after";
                return Err(bad_request(format!("`{name}` is not known here; known: {known}")));
            }
        }
    }
    Ok(read)
}

impl EventQuery {
    /// The query as a path has it.
    pub(in crate::admin) fn to_text(&self) -> String {
        let mut text = form_urlencoded::Serializer::new(String::new());
        let EventFilter { ids, sources, types, tenant, since, until, text: within } = &self.filter;
        for (name, values) in [("source", sources), ("type", types)] {
            text.extend_pairs(values.iter().map(|value| (name, value)));
        }
        text.extend_pairs(ids.iter().map(|id| ("id", id)));
        text.extend_pairs(tenant.iter().map(|tenant| ("tenant", tenant.as_str())));
        text.extend_pairs(within.iter().map(|within| ("text", within)));
        text.extend_pairs(since.iter().map(|since| ("since", since.to_string())));
        text.extend_pairs(until.iter().map(|until| ("until", until.to_string())));
        text.extend_pairs(self.limit.iter().map(|limit| ("limit", limit.to_string())));
        text.extend_pairs(self.after.iter().map(|after| ("after", after.to_string())));
        let order = if self.order == EventOrder::Oldest { "oldest" } else { "newest" };
        text.append_pair("order", order).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_as_the_client_writes_it() {
        let text = "source=%2Fa%3F*&source=b&type=*.paid&id=1%262&id=%C3%A9&tenant=acme&text=%22n%22%3A7&since=2h\
            &until=2026-11-27T10%3A00%3A00Z&limit=7&after=12&order=oldest";
        let query = read(text).unwrap();
        assert_eq!(query.to_text(), text);
        assert_eq!(query.filter.ids, ["1&2".to_owned(), "é".to_owned()].into());
        assert_eq!(read("").unwrap(), EventQuery::default());
        assert_eq!(read(&EventQuery::default().to_text()).unwrap(), EventQuery::default());
        for wrong in ["limit=0", "limit=1001", "after=-1", "since=now", "order=up", "tenant=a%20b", "ids=1"] {
            assert_eq!(read(wrong).unwrap_err().status, 400, "{wrong}");
        }
    }
}
