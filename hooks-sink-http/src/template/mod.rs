//! Templates (Jinja): the body and headers of a request, made of the events in it.
//!
//! ```text
//!  event ──▶ value (one level at a time, as the template looks into it) ──▶ template ──▶ format ──▶ settled
//!                                                    fuel ◀──┘   quotes and escapes   marks gone, JSON checked
//! ```

mod check;
mod filters;
mod format;
mod marks;
mod value;

use std::collections::BTreeMap;
use std::sync::Arc;

use hooks_core::Secret;
use hooks_core::sink::Batch;
use http::{HeaderName, HeaderValue};
use minijinja::value::{Object, Value};
use minijinja::{AutoEscape, Environment, UndefinedBehavior};

pub(crate) use check::{header_problem, problems};

use crate::config::Mode;
use crate::content::{Content, Unfit};
use format::Escaping;

/// Steps of a template, for one event and for a batch: instructions, and 64 bytes that are written or held. So they bound
/// memory, too.
const STEPS: u64 = 100_000;
const STEPS_OF_BATCH: u64 = 500_000;

/// Most bytes of a result.
const LONGEST: usize = 4 << 20;

/// The name of the template of the body; those of headers have theirs.
const BODY: &str = "body";

/// Templates that were checked.
pub(crate) struct Templates {
    environment: Environment<'static>,
    mode: Mode,
    /// The form of the body, if that is made of a template.
    body: Option<Escaping>,
    headers: Vec<HeaderName>,
    values: Value,
}

impl Templates {
    /// For settings whose templates are [added](Self::add_body) behind this.
    pub(crate) fn new(mode: Mode, values: Option<&BTreeMap<String, Secret>>) -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(if mode == Mode::Single { STEPS } else { STEPS_OF_BATCH }));
        // Names what is undefined. It costs something only where that happens.
        environment.set_debug(true);
        // It would print all there is.
        environment.remove_global("debug");
        environment.set_formatter(format::write);
        filters::add(&mut environment);
        let values = values.into_iter().flatten().map(|(name, value)| (name.clone(), value.expose()));
        Self { environment, mode, body: None, headers: Vec::new(), values: Value::from_pairs(values) }
    }

    /// # Errors
    /// What is wrong with it, with the line.
    pub(crate) fn add_body(&mut self, template: &str, content_type: &str) -> Result<(), String> {
        let escaping = Escaping::of(content_type);
        self.body = Some(escaping);
        self.environment.set_auto_escape_callback(move |name| escaping.of_template(name == BODY));
        self.add(BODY, template)
    }

    /// # Errors
    /// What is wrong with it, with the line.
    pub(crate) fn add_header(&mut self, name: HeaderName, template: &str) -> Result<(), String> {
        if self.body.is_none() {
            self.environment.set_auto_escape_callback(|_| AutoEscape::None);
        }
        self.add(&of_header(&name), template)?;
        self.headers.push(name);
        Ok(())
    }

    fn add(&mut self, name: &str, template: &str) -> Result<(), String> {
        marks::refuse(template)?;
        let added = self.environment.add_template_owned(name.to_owned(), template.to_owned());
        added.map_err(|error| check::hint(said(&error, check::line)))?;
        let template = self.environment.get_template(name).map_err(|error| said(&error, check::line))?;
        check::names(&template, self.mode, &self.values)?;
        check::filters(&self.environment, template.source())
    }

    /// The content with what the templates make of the batch.
    ///
    /// # Errors
    /// When one of them fails, or makes something that can't be sent.
    pub(crate) fn render(&self, hook: &str, batch: &Batch, mut content: Content) -> Result<Content, Unfit> {
        let context = Value::from_object(Context::new(self, hook, batch));
        if let Some(escaping) = self.body {
            let unfit = |why: String| Unfit(format!("its template: {why}"));
            let result = self.result(BODY, &context).map_err(unfit)?;
            content.body = escaping.settled(result).map_err(unfit)?.into();
        }
        for name in &self.headers {
            let unfit = |why: String| Unfit(format!("the template of header `{name}`: {why}"));
            let result = self.result(&of_header(name), &context).map_err(unfit)?;
            let text = result.trim();
            if !text.is_empty() {
                let value = HeaderValue::from_str(text).ok().filter(|_| text.is_ascii());
                let value =
                    value.ok_or_else(|| unfit("a header holds printable ASCII only (try `urlencode`)".into()))?;
                content.headers.push((name.clone(), value));
            }
        }
        Ok(content)
    }

    fn result(&self, name: &str, context: &Value) -> Result<String, String> {
        let fault = |error| said(&error, |line| format!("line {line}"));
        let template = self.environment.get_template(name).map_err(fault)?;
        let result = template.render(context.clone()).map_err(fault)?;
        if result.len() > LONGEST {
            return Err(format!("its result of {} bytes is longer than {LONGEST}", result.len()));
        }
        Ok(result)
    }
}

fn of_header(name: &HeaderName) -> String {
    format!("header {name}")
}

/// An error of a template, with its line and without the template's name.
fn said(error: &minijinja::Error, place: impl Fn(usize) -> String) -> String {
    let what = match (error.kind(), error.detail()) {
        (minijinja::ErrorKind::OutOfFuel, _) => {
            format!("it takes more than {STEPS} steps for an event, or {STEPS_OF_BATCH} for a batch")
        }
        (minijinja::ErrorKind::UndefinedError, Some(detail)) => detail.to_owned(),
        (kind, Some(detail)) => format!("{kind}: {detail}"),
        (kind, None) => kind.to_string(),
    };
    let line = error.line().map_or_else(String::new, |line| place(line) + ": ");
    format!("{line}{what}")
}

/// What a template sees.
#[derive(Debug)]
struct Context {
    /// The one event, or a list.
    events: Value,
    mode: Mode,
    hook: Value,
    batch: Value,
    values: Value,
}

impl Context {
    /// The names that a template may use.
    fn names(mode: Mode) -> [&'static str; 4] {
        [if mode == Mode::Single { "event" } else { "events" }, "hook", "batch", "values"]
    }

    fn new(templates: &Templates, hook: &str, batch: &Batch) -> Self {
        let mut events = batch.lines().map(|line| value::of(Arc::from(&*line)));
        let events = match templates.mode {
            Mode::Single => events.next().unwrap_or_default(),
            Mode::Batch => events.collect(),
        };
        Self {
            events,
            mode: templates.mode,
            hook: hook.into(),
            batch: Value::from_pairs([("id", batch.id().as_str())]),
            values: templates.values.clone(),
        }
    }
}

impl Object for Context {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        let place = Self::names(self.mode).iter().position(|name| *name == key)?;
        [&self.events, &self.hook, &self.batch, &self.values].get(place).map(|value| (*value).clone())
    }
}

#[cfg(test)]
mod tests;
