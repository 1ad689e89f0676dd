//! Prints events: a sink in a crate that depends on `hooks-core` alone.

use std::io::{Stdout, Write};

use hooks_core::{
    BoxError, Sink, async_trait, inventory, schemars, serde,
    sink::{Batch, Delivered, DeliveryError, SinkConfig, SinkContext, SinkPlugin},
};

/// Prints each event on a line of its own.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(crate = "hooks_core::serde", deny_unknown_fields)]
#[schemars(crate = "hooks_core::schemars")]
struct PrintConfig {
    /// Stands before each event.
    // Strangers, who define hooks through an API, may set what is marked so, and nothing else.
    #[schemars(extend("x-untrusted" = true))]
    #[serde(default)]
    prefix: String,
}

inventory::submit! { SinkPlugin::of::<PrintConfig>() }

impl SinkConfig for PrintConfig {
    const KIND: &'static str = "print";
    type Sink = Print<Stdout>;

    fn build(&self, _context: &SinkContext) -> Result<Print<Stdout>, BoxError> {
        Ok(Print { prefix: self.prefix.clone(), out: std::io::stdout() })
    }
}

/// Writes to `W`, which is the standard output but for tests.
#[derive(Debug)]
struct Print<W> {
    prefix: String,
    out: W,
}

#[async_trait]
impl<W: Write + Send> Sink for Print<W> {
    async fn deliver(&mut self, batch: &Batch) -> Result<Delivered, DeliveryError> {
        let lines: String = batch.lines().map(|line| format!("{}{line}\n", self.prefix)).collect();
        // `Ok` says that the events are there, so they must not stay in a buffer.
        let written = self.out.write_all(lines.as_bytes()).and_then(|()| self.out.flush());
        written.map_err(|error| DeliveryError::retry("write to the standard output").because(error))?;
        Ok(Delivered::all())
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use hooks_core::conformance::{self, Destination};
    use hooks_core::sink::{FailureClass, SinkFactory};

    use super::*;

    /// In place of the standard output: memory that can be read again, and that can fail.
    #[derive(Debug, Clone, Default)]
    struct Paper(Arc<Mutex<(Vec<u8>, bool)>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut paper = self.0.lock().unwrap();
            if paper.1 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            paper.0.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl SinkFactory for Paper {
        fn kind(&self) -> &str {
            PrintConfig::KIND
        }

        fn build(&self, _context: &SinkContext) -> Result<Box<dyn Sink>, BoxError> {
            Ok(Box::new(Print { prefix: "> ".to_owned(), out: self.clone() }))
        }
    }

    #[async_trait]
    impl Destination for Paper {
        fn factory(&self) -> Arc<dyn SinkFactory> {
            Arc::new(self.clone())
        }

        async fn received(&self) -> Vec<String> {
            let text = String::from_utf8(self.0.lock().unwrap().0.clone()).unwrap();
            text.lines().map(|line| line.strip_prefix("> ").unwrap_or(line).to_owned()).collect()
        }

        async fn fail(&self, class: FailureClass) -> bool {
            let can_fail_so = class == FailureClass::Retry;
            self.0.lock().unwrap().1 = can_fail_so;
            can_fail_so
        }

        async fn heal(&self) {
            self.0.lock().unwrap().1 = false;
        }
    }

    #[tokio::test]
    async fn conforms() {
        let report = conformance::check(async || Paper::default()).await;
        report.assert_passed();
        assert_eq!(report.skipped(), ["refused_events", "secrets"]);
    }

    /// Every option that strangers may set is in this list, and none that could harm the operator.
    #[test]
    fn strangers_set_what_is_safe() {
        let plugin = SinkPlugin::find("print").unwrap();
        assert_eq!(plugin.untrusted_options(), ["prefix"]);
    }

    #[test]
    fn is_found_by_its_kind() {
        let plugin = SinkPlugin::find("print").unwrap();
        plugin.parse(hooks_core::serde_json::json!({ "prefix": "> " })).unwrap();
        let problems = plugin.parse(hooks_core::serde_json::json!({ "prefox": "> " })).unwrap_err();
        assert_eq!(problems[0].message, "unknown field `prefox`, expected `prefix`");
    }
}
