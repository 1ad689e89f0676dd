//! Metrics of a process that has no server.

use hooks_server::metrics::{Format, Metrics};

use crate::parts;

#[test]
fn metrics_without_a_server_and_a_config_file_have_no_families_of_these() {
    let (bus, dispatcher) = parts();
    let metrics = Metrics::new(bus, dispatcher);
    let page = metrics.page(Format::Plain).concat();
    let page = std::str::from_utf8(&page).unwrap();
    assert!(page.contains("\nhooks_events_accepted_total 0\n"), "{page}");
    assert!(page.contains("\nhooks_batch_events_bucket{le=\"+Inf\"} 0\n"), "{page}");
    assert!(!page.contains("hooks_ingest_") && !page.contains("hooks_config_"), "{page}");
    let open = metrics.page(Format::Open).concat();
    assert!(open.ends_with(b"\n# EOF\n"));
}
