//! What can be asked over HTTP. Router and document are made of the same operations, so neither has one that the other
//! has not.

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodFilter, on};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value as Json, json};

use crate::admin::routes::{JSON, other_method};

/// An operation: what it takes and answers.
#[derive(Clone)]
pub(crate) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    /// Parameter objects, in the document's own terms.
    pub(super) parameters: Vec<Json>,
    /// Media types, and what each holds.
    pub(super) body: Vec<(&'static str, Content)>,
    pub(super) answers: Vec<Answer>,
    /// The statuses of problems, beside those that any operation may answer.
    pub(super) problems: Vec<u16>,
    pub(super) problem: SchemaOf,
    /// The right that it takes. `None`: anybody may ask.
    pub(super) right: Option<&'static str>,
}

/// The schema of a type.
pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// What a body holds.
#[derive(Clone)]
pub(crate) enum Content {
    /// A type of ours.
    Type(SchemaOf),
    /// A schema.
    Is(Json),
    /// A hook, as clients may define it here.
    Definition,
    /// A merge patch of one.
    Patch,
}

impl Content {
    pub(crate) fn of<T: JsonSchema>() -> Self {
        Self::Type(SchemaGenerator::subschema_for::<T>)
    }
}

/// What is answered when all went well.
#[derive(Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) description: &'static str,
    pub(super) media_type: &'static str,
    pub(super) content: Content,
    /// Names of headers, and what they are.
    pub(super) headers: Vec<(&'static str, &'static str)>,
}

impl Operation {
    fn new(method: &'static str, path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self {
            method,
            path,
            id,
            summary,
            parameters: Vec::new(),
            body: Vec::new(),
            answers: Vec::new(),
            problems: Vec::new(),
            problem: SchemaGenerator::subschema_for::<super::Problem>,
            right: Some(if method == "get" { "read" } else { "manage" }),
        }
    }

    /// `GET` of this path.
    pub(crate) fn get(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new("get", path, id, summary)
    }

    /// `POST` to this path.
    pub(crate) fn post(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new("post", path, id, summary)
    }

    /// `PUT` to this path.
    pub(crate) fn put(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new("put", path, id, summary)
    }

    /// `PATCH` of this path.
    pub(crate) fn patch(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new("patch", path, id, summary)
    }

    /// `DELETE` of this path.
    pub(crate) fn delete(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new("delete", path, id, summary)
    }

    /// With a parameter in `query`, `header` or `path`.
    #[must_use]
    pub(crate) fn parameter(mut self, place: &str, name: &str, description: &str, schema: Json) -> Self {
        let parameter = json!({
            "in": place, "name": name, "description": description, "schema": schema, "required": place == "path",
        });
        self.parameters.push(parameter);
        self
    }

    /// With a body.
    #[must_use]
    pub(crate) fn takes(mut self, media_type: &'static str, content: Content) -> Self {
        self.body.push((media_type, content));
        self
    }

    /// Answers this type as JSON.
    #[must_use]
    pub(crate) fn answers<T: JsonSchema>(self, status: u16, description: &'static str) -> Self {
        self.answers_with(status, description, JSON, Content::of::<T>())
    }

    /// Answers this.
    #[must_use]
    pub(crate) fn answers_with(
        mut self,
        status: u16,
        description: &'static str,
        media_type: &'static str,
        content: Content,
    ) -> Self {
        self.answers.push(Answer { status, description, media_type, content, headers: Vec::new() });
        self
    }

    /// With this header in the answer that was named last.
    #[must_use]
    pub(crate) fn with_header(mut self, name: &'static str, description: &'static str) -> Self {
        if let Some(answer) = self.answers.last_mut() {
            answer.headers.push((name, description));
        }
        self
    }

    /// Or a problem with one of these statuses.
    #[must_use]
    pub(crate) fn problems(mut self, statuses: &[u16]) -> Self {
        self.problems.extend(statuses);
        self
    }

    /// Problems are of this type.
    #[must_use]
    pub(crate) fn with_problem<T: JsonSchema>(self) -> Self {
        Self { problem: SchemaGenerator::subschema_for::<T>, ..self }
    }

    /// Takes this right, and not the one that its method has.
    #[must_use]
    pub(crate) fn right(self, right: Option<&'static str>) -> Self {
        Self { right, ..self }
    }

    fn filter(&self) -> MethodFilter {
        match self.method {
            "get" => MethodFilter::GET,
            "put" => MethodFilter::PUT,
            "patch" => MethodFilter::PATCH,
            "delete" => MethodFilter::DELETE,
            _ => MethodFilter::POST,
        }
    }
}

/// A router, and the operations that it answers.
pub(crate) struct Routes<S = ()> {
    pub(super) router: Router<S>,
    pub(super) operations: Vec<Operation>,
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    pub(crate) fn new() -> Self {
        Self { router: Router::new(), operations: Vec::new() }
    }

    /// Answers an operation with this handler.
    pub(crate) fn on<T: 'static>(mut self, operation: Operation, handler: impl Handler<T, S>) -> Self {
        self.router = self.router.route(operation.path, on(operation.filter(), handler));
        self.operations.push(operation);
        self
    }

    /// `HEAD` is no way to look at this path, where looking does something.
    pub(crate) fn without_head(mut self, path: &'static str) -> Self {
        self.router = self.router.route(path, on(MethodFilter::HEAD, other_method));
        self
    }

    /// With other routes.
    pub(crate) fn merge(mut self, other: Self) -> Self {
        self.operations.extend(other.operations);
        Self { router: self.router.merge(other.router), operations: self.operations }
    }

    pub(crate) fn with_state<Other>(self, state: S) -> Routes<Other> {
        Routes { router: self.router.with_state(state), operations: self.operations }
    }

    /// The operations, for a document that has those of several routers.
    pub(crate) fn operations(&self) -> Vec<Operation> {
        self.operations.clone()
    }

    /// The router, which says of each path what its methods are.
    pub(crate) fn into_router(self) -> Router<S> {
        self.router.method_not_allowed_fallback(other_method)
    }
}
