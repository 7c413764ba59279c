//! Can configs be read, and statuses and reports be written?

use std::time::Duration;

use ostler_pool::testing::{Script, Sim};
use ostler_pool::{AbandonedCalls, Config, Pool};
use serde_json::{from_value, json, to_value};

use crate::rig::{end, until};

/// A config reads what it wrote; absent options have their defaults, durations are seconds, and an
/// unknown option is refused by its name.
#[test]
fn a_config_can_be_read() {
    let config = Config::default();
    let written = to_value(&config).unwrap();
    assert_eq!(written["call_timeout"], json!(30.0));
    assert_eq!(written["abandoned_calls"], json!("stop"));
    assert_eq!(from_value::<Config>(written).unwrap(), config);

    let read: Config = from_value(json!({
        "size": 3, "call_timeout": 0.25, "abandoned_calls": { "cancel": 1.5 }, "max_worker_age": null
    }))
    .unwrap();
    let mut expected = Config::default();
    expected.size = 3;
    expected.call_timeout = Duration::from_millis(250);
    expected.abandoned_calls = AbandonedCalls::Cancel(Duration::from_millis(1500));
    expected.max_worker_age = None;
    assert_eq!(read, expected);

    let unknown = from_value::<Config>(json!({ "stop_grace": 1 })).unwrap_err();
    assert!(unknown.to_string().contains("`stop_grace`"), "{unknown}");
    let negative = from_value::<Config>(json!({ "call_timeout": -1 }));
    assert!(negative.is_err());
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
