//! `GET /openapi.json`: the HTTP API as an OpenAPI 3.1 document, made of the operations that are routed and of the types
//! that are read and answered.

mod operation;
pub(super) mod schema;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::OriginalUri;
use http::StatusCode;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value as Json, json};

use super::response::Problem;
use super::routes::{JSON, PROBLEM, json};
use super::service::AdminService;
use operation::Answer;
pub(crate) use operation::{Content, Operation, Routes};

/// Where the document is.
const PATH: &str = "/openapi.json";

/// Where it has the schemas.
const SCHEMAS: &str = "/components/schemas";

/// The statuses of problems that whatever is behind a token may have.
const ANY: [u16; 5] = [400, 401, 403, 500, 503];

/// And of what has a body.
const OF_BODIES: [u16; 3] = [408, 413, 415];

impl Routes {
    /// With the document of these routes, and of others that are elsewhere. `needs_token` says whether clients need one.
    pub(crate) fn with_document(
        self,
        others: Vec<Operation>,
        service: &AdminService,
        needs_token: impl Fn() -> bool + Clone + Send + Sync + 'static,
    ) -> Self {
        let own = Operation::get(PATH, "getDocument", "This document");
        let own = own.answers_with(200, "The document.", JSON, Content::Is(json!({ "type": "object" })));
        let operations: Vec<_> = self.operations.iter().cloned().chain([own.clone()]).chain(others).collect();
        let (operations, service) = (Arc::new(operations), service.clone());
        self.on(own, move |OriginalUri(uri): OriginalUri| async move {
            let prefix = uri.path().strip_suffix(PATH).unwrap_or_default();
            json(StatusCode::OK, JSON, &document(&operations, &service, needs_token(), prefix))
        })
    }
}

/// The same as [`HumanDuration::PATTERN`](hooks_core::HumanDuration::PATTERN), of at least a second.
pub(crate) const SECONDS: &str =
    "^([1-9][0-9]{3,5}ms|[1-9][0-9]{0,5}s|[1-9][0-9]{0,3}m|[1-9][0-9]?h([0-5]?[0-9]m)?|([12]?[1-9]|[123]0)d)$";

/// The document; paths begin below `prefix`.
fn document(operations: &[Operation], service: &AdminService, needs_token: bool, prefix: &str) -> Json {
    let mut schemas = Schemas::new(service);
    let mut paths: BTreeMap<&str, Map<String, Json>> = BTreeMap::new();
    for operation in operations {
        paths.entry(operation.path).or_default().insert(operation.method.to_owned(), schemas.operation(operation));
    }
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "hooks",
            "description": "Delivers events to webhooks and files: in order, in batches, without losing any.",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": if prefix.is_empty() { "/" } else { prefix } }],
        "paths": paths,
        "components": { "schemas": schemas.into_definitions() },
    });
    if needs_token {
        let description = "A token of `api.tokens`, or a signed one.";
        document["components"]["securitySchemes"] =
            json!({ "bearer": { "type": "http", "scheme": "bearer", "description": description } });
        document["security"] = json!([{ "bearer": [] }]);
    }
    document
}

/// The schemas of what is read and of what is answered: a member with a default may be missing in the first alone.
struct Schemas<'a> {
    service: &'a AdminService,
    read: SchemaGenerator,
    answered: SchemaGenerator,
}

impl<'a> Schemas<'a> {
    fn new(service: &'a AdminService) -> Self {
        let settings = || SchemaSettings::draft2020_12().with(|settings| settings.definitions_path = SCHEMAS.into());
        Self { service, read: settings().into_generator(), answered: settings().for_serialize().into_generator() }
    }

    fn operation(&mut self, operation: &Operation) -> Json {
        let mut responses: BTreeMap<String, Json> =
            operation.answers.iter().map(|answer| (answer.status.to_string(), self.answer(answer))).collect();
        let problem = (operation.problem)(&mut self.answered).to_value();
        let of_bodies = OF_BODIES.iter().filter(|_| !operation.body.is_empty());
        let any = ANY.iter().filter(|_| operation.right.is_some()).chain(of_bodies);
        for status in any.chain(&operation.problems) {
            let description = StatusCode::from_u16(*status).ok().and_then(|status| status.canonical_reason());
            let content = json!({ PROBLEM: { "schema": problem } });
            responses.insert(status.to_string(), json!({ "description": description, "content": content }));
        }
        let mut described = json!({
            "operationId": operation.id,
            "summary": operation.summary,
            "tags": [tag(operation.path)],
            "responses": responses,
        });
        match operation.right {
            Some(right) => described["description"] = format!("A token for it has the right `{right}`.").into(),
            None => described["security"] = json!([]),
        }
        let mut parameters = operation.parameters.clone();
        if operation.path.contains("{id}") {
            let schema = schema::hook_id(operation.method == "put");
            parameters.insert(
                0,
                json!({ "in": "path", "name": "id", "required": true, "description": "The hook's name.", "schema": schema }),
            );
        }
        if !parameters.is_empty() {
            described["parameters"] = parameters.into();
        }
        if !operation.body.is_empty() {
            let content: Map<_, _> = operation
                .body
                .iter()
                .map(|(media_type, content)| ((*media_type).to_owned(), json!({ "schema": self.read(content) })))
                .collect();
            described["requestBody"] = json!({ "required": true, "content": content });
        }
        described
    }

    fn answer(&mut self, answer: &Answer) -> Json {
        let schema = match &answer.content {
            Content::Type(of) => of(&mut self.answered).to_value(),
            content => self.read(content),
        };
        let headers: Map<_, _> = answer
            .headers
            .iter()
            .map(|(name, description)| {
                ((*name).to_owned(), json!({ "description": description, "schema": { "type": "string" } }))
            })
            .collect();
        let mut described =
            json!({ "description": answer.description, "content": { answer.media_type: { "schema": schema } } });
        if !headers.is_empty() {
            described["headers"] = headers.into();
        }
        described
    }

    fn read(&mut self, content: &Content) -> Json {
        match content {
            Content::Type(of) => of(&mut self.read).to_value(),
            Content::Is(schema) => schema.clone(),
            Content::Definition => self.named("HookDefinition", |definition| definition),
            Content::Patch => self.named("HookPatch", schema::patch_of),
        }
    }

    /// What clients may define, under a name.
    fn named(&mut self, name: &str, of: fn(Json) -> Json) -> Json {
        let definition = self.service.definitions().map(|definitions| definitions.schema(&mut self.read));
        let schema = of(definition.unwrap_or_else(|| json!({ "type": "object" })));
        self.read.definitions_mut().insert(name.to_owned(), schema);
        json!({ "$ref": format!("#{SCHEMAS}/{name}") })
    }

    fn into_definitions(mut self) -> Map<String, Json> {
        let mut definitions = self.answered.take_definitions(true);
        definitions.extend(self.read.take_definitions(true));
        definitions.values_mut().for_each(schema::polish);
        definitions
    }
}

/// What an operation is about.
fn tag(path: &str) -> &'static str {
    ["events", "hooks", "tokens"].into_iter().find(|name| path.starts_with(&format!("/v1/{name}"))).unwrap_or("daemon")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hooks_core::HumanDuration;
    use proptest::prelude::*;
    use proptest::strategy::ValueTree as _;
    use proptest::string::string_regex;

    use super::*;

    /// Spans of a pattern.
    fn of(pattern: &str) -> impl Strategy<Value = String> {
        string_regex(pattern.trim_start_matches('^').trim_end_matches('$')).unwrap()
    }

    fn read(span: &str) -> Duration {
        span.parse::<HumanDuration>().unwrap_or_else(|why| panic!("{span}: {why}")).get()
    }

    const MOST: Duration = Duration::from_secs(30 * 24 * 60 * 60);

    proptest! {
        /// What the document allows is taken.
        #[test]
        fn spans_of_the_document_are_taken(any in of(HumanDuration::PATTERN), seconds in of(SECONDS)) {
            prop_assert!(read(&any) <= MOST, "{any}");
            prop_assert!((Duration::from_secs(1)..=MOST).contains(&read(&seconds)), "{seconds}");
        }
    }

    /// Each of these forms is one that the document allows.
    #[test]
    fn the_document_allows_the_usual_spans() {
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let mut sample = |pattern: &str| -> Vec<String> {
            let strategy = of(pattern);
            (0..2_000).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
        };
        let (any, seconds) = (sample(HumanDuration::PATTERN), sample(SECONDS));
        for is_of_form in [is_minutes as fn(&str) -> bool, is_millis] {
            assert!(any.iter().any(|span| is_of_form(span)) && seconds.iter().any(|span| is_of_form(span)));
        }
        assert!(any.iter().any(|span| read(span).is_zero()));
    }

    /// `1h30m`
    fn is_minutes(span: &str) -> bool {
        span.contains('h') && span.ends_with('m')
    }

    /// `250ms`
    fn is_millis(span: &str) -> bool {
        span.ends_with("ms")
    }
}
