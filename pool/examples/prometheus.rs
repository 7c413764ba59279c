//! Serves the metrics of a pool to Prometheus, until Ctrl-C.
//!
//! ```sh
//! cargo run --example prometheus --features metrics
//! curl http://127.0.0.1:9464/metrics
//! ```
//!
//! A service has a web server already, and adds a route that returns `render()`. This example
//! answers by hand, so that it needs no other crate.

use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use ostler_pool::{Pool, Python, metrics};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::sleep;

/// The bounds of the buckets, in seconds.
const BUCKETS: [f64; 9] = [0.0001, 0.001, 0.005, 0.025, 0.1, 0.5, 2.0, 10.0, 60.0];

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Before the pool is built.
    let mut prometheus = PrometheusBuilder::new();
    for name in [metrics::WAIT, metrics::CALL, metrics::START, metrics::DRAIN] {
        prometheus = prometheus.set_buckets_for_metric(Matcher::Full(name.into()), &BUCKETS)?;
    }
    let prometheus = prometheus.install_recorder()?;

    let sleeps = Python::function("time:sleep").json();
    let pool = Pool::builder(sleeps)
        .name("sleepers")
        .size(2)
        .call_timeout(Duration::from_millis(300))
        .build()?;

    // Three callers on two workers, one of which sometimes asks for too much.
    for caller in 0..3_u32 {
        let pool = pool.clone();
        tokio::spawn(async move {
            for call in 0.. {
                if pool.is_closed() {
                    break;
                }
                let naps = if (caller, call % 50) == (0, 49) {
                    1.0
                } else {
                    0.02
                };
                if let Err(error) = pool.call_json::<_, ()>(&naps).await {
                    println!("{error}");
                }
                sleep(Duration::from_millis(10)).await;
            }
        });
    }

    let address = std::env::args().nth(1);
    let address = address.unwrap_or_else(|| "127.0.0.1:9464".to_owned());
    let listener = TcpListener::bind(&address).await?;
    println!("serving http://{}/metrics", listener.local_addr()?);
    loop {
        let (mut client, _) = tokio::select! {
            client = listener.accept() => client?,
            _ = tokio::signal::ctrl_c() => break,
        };
        let _request = client.read(&mut [0; 1024]).await?;
        let body = prometheus.render();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: ";
        let answer = format!("{head}{}\r\n\r\n{body}", body.len());
        client.write_all(answer.as_bytes()).await?;
    }
    println!("{}", pool.shutdown().await);
    Ok(())
}
