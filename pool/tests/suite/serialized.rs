//! Can configs be read, and statuses and reports be written?

use std::collections::BTreeSet;
use std::time::Duration;

use ostler_pool::testing::{Script, Sim};
use ostler_pool::{AbandonedCalls, Config, Pool};
use serde_json::{from_value, json, to_value};

use crate::rig::{end, until};

/// A config reads what it wrote, in JSON and in TOML, also where an option is off.
#[test]
fn a_config_reads_what_it_wrote() {
    let mut config = Config::default();
    config.abandoned_calls = AbandonedCalls::Cancel(Duration::from_nanos(1_500_000_001));
    config.max_worker_age = None;
    config.error_threshold = None;
    config.max_worker_memory = Some(1_234_567);
    let written = to_value(&config).unwrap();
    assert_eq!(written["call_timeout"], json!("30s"));
    assert_eq!(written["max_worker_age"], json!("none"));
    assert_eq!(written["max_frame"], json!("64MiB"));
    assert_eq!(written["max_worker_memory"], json!(1_234_567));
    assert_eq!(from_value::<Config>(written).unwrap(), config);
    let written = toml::to_string(&config).unwrap();
    assert_eq!(toml::from_str::<Config>(&written).unwrap(), config);
}

/// Absent options have their defaults; durations and sizes have units or are numbers of seconds and
/// bytes; `null` and `none` turn a limit off.
#[test]
fn a_config_can_be_read() {
    let read: Config = from_value(json!({
        "size": 3, "call_timeout": 0.25, "checkout_timeout": 7, "abandoned_calls": { "cancel": "1500ms" },
        "max_worker_age": null, "max_worker_requests": "none", "max_worker_memory": "2GB",
        "max_frame": "1MiB", "enable_health_monitoring": false
    }))
    .unwrap();
    let mut expected = Config::default();
    expected.size = 3;
    expected.call_timeout = Duration::from_millis(250);
    expected.checkout_timeout = Duration::from_secs(7);
    expected.abandoned_calls = AbandonedCalls::Cancel(Duration::from_millis(1500));
    expected.max_worker_age = None;
    expected.max_worker_requests = None;
    expected.max_worker_memory = Some(2_000_000_000);
    expected.max_frame = 1 << 20;
    expected.enable_health_monitoring = false;
    assert_eq!(read, expected);
}

/// A value that cannot be used is refused with its option, itself and what it must be; an unknown
/// or repeated option by its name. A format that knows the line adds it.
#[test]
fn an_error_names_option_value_and_range() {
    let refused = |text: &str| toml::from_str::<Config>(text).unwrap_err().to_string();
    let duration = "a duration such as `500ms`, `30s` or `1h`";
    let size = "a size such as `64MiB` or `2GB`, or a number of bytes";
    for (text, expected) in [
        (
            "call_timeout = \"30\"",
            format!("`call_timeout` is \"30\"; it must be {duration}"),
        ),
        (
            "call_timeout = -1",
            format!("`call_timeout` is -1; it must be {duration}"),
        ),
        (
            "max_worker_age = true",
            format!("`max_worker_age` is true; it must be {duration}, or `none`"),
        ),
        (
            "max_frame = \"64M\"",
            format!("`max_frame` is \"64M\"; it must be {size}"),
        ),
        (
            "abandoned_calls = { cancel = true }",
            "`abandoned_calls` is { cancel = true }; it must be `stop`, `finish` or \
             `{ cancel = \"5s\" }`"
                .to_owned(),
        ),
        (
            "size = 1.5",
            "`size` is 1.5; it must be a whole number".to_owned(),
        ),
        (
            "crash_loop = 4294967296",
            "`crash_loop` is 4294967296; it must be a whole number".to_owned(),
        ),
        (
            "enable_health_monitoring = 1",
            "`enable_health_monitoring` is 1; it must be true or false".to_owned(),
        ),
    ] {
        let error = refused(&format!("surge = 2\n{text}"));
        assert!(error.contains(&format!("option {expected}")), "{error}");
        assert!(error.contains("line 2"), "{error}");
    }
    let unknown = refused("stop_grace = 1");
    assert!(unknown.contains("unknown field `stop_grace`"), "{unknown}");
    let twice = serde_json::from_str::<Config>(r#"{"size": 1, "size": 2}"#).unwrap_err();
    assert!(
        twice.to_string().contains("duplicate field `size`"),
        "{twice}"
    );

    let mut config: Config = toml::from_str("max_frame = 1").unwrap();
    let text = config.validate().unwrap_err().to_string();
    assert_eq!(
        text,
        "option `max_frame` is 1; it must be 1024 to 1073741824"
    );
    config = toml::from_str("size = 0").unwrap();
    let text = config.validate().unwrap_err().to_string();
    assert_eq!(text, "option `size` is 0; it must be 1 to 16384");
    config = toml::from_str("abandoned_calls = { cancel = 0 }").unwrap();
    assert_eq!(config.validate().unwrap_err().option, "abandoned_calls");
}

/// Whether a comment is an option with its value.
fn is_option(comment: &str) -> bool {
    let name = comment.split_once(" = ").map(|(name, _)| name);
    name.is_some_and(|name| !name.contains(' '))
}

/// The example has every option, once, with its default and the range of `docs/options.md`.
#[test]
fn the_example_has_every_option() {
    let example = include_str!("../../ostler.example.toml");
    let mut options = String::new();
    let (mut about, mut ranges) = (String::new(), Vec::new());
    for line in example.lines() {
        match line.strip_prefix("# ") {
            Some(option) if is_option(option) => {
                options += &format!("{option}\n");
                let name = option.split(" = ").next().unwrap();
                let range = about.split("Range: ").nth(1).unwrap_or_default();
                let range = range.trim_end().trim_end_matches('.');
                ranges.push((name.to_owned(), range.to_lowercase()));
                about.clear();
            }
            Some(comment) => about += &format!("{comment} "),
            None => about.clear(),
        }
    }
    let mut defaults = Config::default();
    defaults.size = 4;
    assert_eq!(toml::from_str::<Config>(&options).unwrap(), defaults);
    let written = to_value(&defaults).unwrap();
    let read: toml::Table = toml::from_str(&options).unwrap();
    let names = |names: &mut dyn Iterator<Item = &String>| names.cloned().collect::<BTreeSet<_>>();
    assert_eq!(
        names(&mut read.keys()),
        names(&mut written.as_object().unwrap().keys())
    );

    let page = include_str!("../../../docs/options.md");
    for (name, range) in ranges {
        let row = page
            .lines()
            .find(|line| line.starts_with(&format!("| `{name}` |")));
        let row = row.unwrap_or_else(|| panic!("{name} is on the page"));
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let expected = match cells[3] {
            "" => "true or false".to_owned(),
            cell => cell.replace("`None`", "none"),
        };
        assert_eq!(range, expected.to_lowercase(), "the range of {name}");
    }
}

/// A builder takes a whole config, and its own setters change single options of it.
#[tokio::test(start_paused = true)]
async fn a_builder_takes_a_config() {
    let mut config = Config::default();
    config.size = 3;
    config.max_sessions = 0;
    let sim = Sim::default();
    let pool = Pool::builder(sim.clone())
        .config(config)
        .size(2)
        .build()
        .unwrap();
    assert_eq!(pool.status().size, 2);
    assert!(pool.session("a").is_err());
    end(&pool, &sim).await;
}

/// A status and a report serialize with their workers, reasons and failures.
#[tokio::test(start_paused = true)]
async fn a_status_and_a_report_can_be_written() {
    let sim = Sim::new([Script::StartFails]);
    let pool = Pool::builder(sim.clone()).size(1).build().unwrap();
    pool.call(b"hello").await.unwrap();
    until(&pool, |status| status.serving() == 1).await;
    let status = to_value(pool.status()).unwrap();
    assert_eq!(status["workers"][0]["phase"], json!("Ready"));
    assert_eq!(status["workers"][0]["calls"], json!(1));
    assert_eq!(status["counters"]["started"], json!(1));
    assert!(status["workers"][0]["age"].is_f64(), "{status}");
    let failure = status["last_failure"].as_str().unwrap();
    assert!(
        failure.contains("caused by: RuntimeError: scripted"),
        "{failure}"
    );
    let report = to_value(pool.shutdown().await).unwrap();
    assert_eq!(report["workers"][0]["reason"], json!("Shutdown"));
    assert_eq!(report["unreleased"], json!([]));
    end(&pool, &sim).await;
}

/// P16: an abandoned port serializes with what holds it up.
#[tokio::test(start_paused = true)]
async fn an_abandoned_port_can_be_written() {
    let sim = Sim::new([Script::NeverReleased]);
    let pool = Pool::builder(sim.clone()).size(1).build().unwrap();
    pool.call(b"exit").await.unwrap_err();
    until(&pool, |status| status.abandoned.len() == 1).await;
    let written = to_value(&pool.status().abandoned[0]).unwrap();
    assert_eq!(written["worker"], json!({ "slot": 0, "generation": 1 }));
    let survivors = json!([{ "pid": 4711, "reason": "Uninterruptible" }]);
    assert_eq!(written["survivors"], survivors);
    assert!(written["ago"].is_number(), "{written}");
    sim.let_go();
    until(&pool, |status| status.abandoned.is_empty()).await;
    end(&pool, &sim).await;
}
