//! Do the page on observing and the dashboard know the metrics, their types and their labels, and
//! no others?

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use ostler_pool::Pool;
use ostler_pool::testing::Sim;
use serde_json::Value;

use crate::{recorder, until};

/// Each metric: its type, and its labels but `le`.
type Metrics = BTreeMap<String, (String, BTreeSet<String>)>;

fn read(file: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    fs::read_to_string(root.join(file)).unwrap()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|char: char| !char.is_ascii_alphanumeric() && char != '_')
        .filter(|word| !word.is_empty())
}

/// The name of the metric that a sample belongs to.
fn metric(sample: &str) -> &str {
    ["_bucket", "_sum", "_count"]
        .iter()
        .find_map(|suffix| sample.strip_suffix(suffix))
        .unwrap_or(sample)
}

/// The metrics that a pool records in its life.
async fn recorded() -> Metrics {
    let (_kept, handle) = recorder();
    let pool = Pool::builder(Sim::default()).size(1).build().unwrap();
    until(&pool, |status| status.serving() == 1).await;
    pool.call(b"hello").await.unwrap();
    pool.shutdown().await;
    let text = handle.render();
    let mut metrics = Metrics::new();
    for line in text.lines() {
        if let Some(of) = line.strip_prefix("# TYPE ") {
            let (name, kind) = of.split_once(' ').unwrap();
            metrics.insert(name.to_owned(), (kind.to_owned(), BTreeSet::new()));
        } else if let Some((sample, labels)) = line.split_once('{') {
            let (labels, _value) = labels.split_once('}').unwrap();
            let (_, known) = metrics.get_mut(metric(sample)).unwrap();
            known.extend(labels_of(labels));
        }
    }
    metrics
}

/// The names of the labels in `a="b",c=~"d"`, without the bounds of buckets.
fn labels_of(labels: &str) -> impl Iterator<Item = String> {
    let names = labels.split("\",").filter_map(|label| {
        let (name, _) = label.split_once('=')?;
        Some(name.trim_end_matches('!').trim().to_owned())
    });
    names.filter(|name| name != "le")
}

/// `docs/observing.md` has a row for each metric, with its type and its labels.
#[tokio::test(start_paused = true)]
async fn the_page_lists_the_metrics() {
    let mut documented = Metrics::new();
    for row in read("docs/observing.md").lines() {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        if let [_, name, kind, labels, _, _, _] = cells[..]
            && name.starts_with("`ostler_")
        {
            let labels = words(labels).map(str::to_owned).collect();
            documented.insert(name.trim_matches('`').to_owned(), (kind.to_owned(), labels));
        }
    }
    assert_eq!(documented, recorded().await);
}

/// Every query of the dashboard is about metrics and labels that exist, and every metric has a
/// panel.
#[tokio::test(start_paused = true)]
async fn the_dashboard_shows_the_metrics() {
    let metrics = recorded().await;
    let dashboard: Value = serde_json::from_str(&read("docs/grafana-dashboard.json")).unwrap();
    let mut shown = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let query = target["expr"].as_str().unwrap();
            let names: Vec<&str> = words(query)
                .filter(|word| word.starts_with("ostler_"))
                .map(metric)
                .collect();
            assert!(!names.is_empty(), "{query}");
            let mut known = BTreeSet::from(["le"]);
            for name in names {
                let (_, labels) = metrics
                    .get(name)
                    .unwrap_or_else(|| panic!("{name} in {query}"));
                known.extend(labels.iter().map(String::as_str));
                shown.insert(name.to_owned());
            }
            let selected = query
                .split('{')
                .skip(1)
                .map(|rest| rest.split_once('}').unwrap().0);
            let mut used: Vec<String> = selected.flat_map(labels_of).collect();
            let grouped = query
                .split("by (")
                .skip(1)
                .map(|rest| rest.split_once(')').unwrap().0);
            used.extend(grouped.flat_map(words).map(str::to_owned));
            used.extend(words(target["legendFormat"].as_str().unwrap()).map(str::to_owned));
            for label in used {
                assert!(known.contains(&*label), "`{label}` in {query}");
            }
        }
    }
    let all: BTreeSet<String> = metrics.into_keys().collect();
    assert_eq!(shown, all);
}
