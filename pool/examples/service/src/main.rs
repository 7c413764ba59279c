//! A web service whose work is done by Python processes.
//!
//! ```text
//! cargo run --release -p ostler-example-service
//! curl localhost:8080/score -H 'content-type: application/json' -d '[1, 2, 3, 100]'
//! curl localhost:8080/sessions/ada -H 'content-type: application/json' -d '[1, 2, 3]'
//! curl -N 'localhost:8080/forecast?values=8,4,2&steps=5'
//! curl localhost:8080/ready
//! curl localhost:8080/metrics
//! curl -X POST localhost:8080/restart
//! ```
//!
//! `SIGTERM` or Ctrl-C lets requests under way finish and stops; a second one stops at once.

use std::env;
use std::error::Error;
use std::path::Path;

use axum::extract::{DefaultBodyLimit, Path as Segment, Query as Asked, State};
use axum::http::{StatusCode, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::{Stream, StreamExt as _};
use metrics_exporter_prometheus::PrometheusBuilder;
use ostler_pool::{CallError, Config, Pool, Python};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Before the pool, which asks for its metrics when it is built.
    let metrics = PrometheusBuilder::new().install_recorder()?;
    let config: Config = toml::from_str(include_str!("../service.toml"))?;
    let pool = Pool::builder(Python::module("model").json().path(here))
        .config(config.with_env("SERVICE_POOL_")?)
        .build()?;
    let signals = pool.shutdown_on_signals()?;
    // A model that cannot be imported stops the service here, with the reason.
    pool.ready().await?;
    let app = Router::new()
        .route("/score", post(score))
        .route("/sessions/{name}", post(observe).delete(end_session))
        .route("/forecast", get(forecast))
        .route("/ready", get(ready))
        .route("/status", get(status))
        .route("/metrics", get(async move || metrics.render()))
        .route("/restart", post(restart))
        .layer(DefaultBodyLimit::max(1 << 20))
        .with_state(pool);
    let address = env::var("SERVICE_ADDRESS").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    axum::serve(listener, app)
        .with_graceful_shutdown(signals.begun())
        .await?;
    println!("{}", signals.await);
    Ok(())
}

/// A call that failed, as a response.
struct Failure(CallError);

impl<E: Into<CallError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        eprintln!("{}", self.0.report());
        let status = match &self.0 {
            // The model refuses the input.
            CallError::Raised { source, .. } if source.kind == "ValueError" => 422,
            other => other.http_status(),
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = Json(json!({ "error": self.0.to_string() }));
        match status {
            StatusCode::SERVICE_UNAVAILABLE => {
                (status, [(header::RETRY_AFTER, "1")], body).into_response()
            }
            _ => (status, body).into_response(),
        }
    }
}

/// How unusual is each value?
async fn score(
    State(pool): State<Pool>,
    Json(values): Json<Vec<f64>>,
) -> Result<Json<Vec<f64>>, Failure> {
    let score = pool.function_json("score");
    Ok(Json(score.call(&values).await?))
}

/// What has this session seen, with these values?
async fn observe(
    State(pool): State<Pool>,
    Segment(name): Segment<String>,
    Json(values): Json<Vec<f64>>,
) -> Result<Json<Value>, Failure> {
    let session = pool.session(&name)?;
    let observe = pool.function_json::<_, Value>("observe");
    let request = observe.request(&values)?.session(&session);
    Ok(Json(request.send_json().await?))
}

async fn end_session(
    State(pool): State<Pool>,
    Segment(name): Segment<String>,
) -> Result<StatusCode, Failure> {
    pool.session(&name)?.end();
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct Query {
    values: String,
    steps: u32,
}

#[derive(Serialize, Deserialize)]
struct Step {
    step: u32,
    value: f64,
}

/// How will the values go on? Each step is an event as soon as the worker has it.
async fn forecast(
    State(pool): State<Pool>,
    Asked(query): Asked<Query>,
) -> Result<Sse<impl Stream<Item = Result<Event, axum::Error>>>, Failure> {
    let values: Vec<f64> = (query.values.split(','))
        .filter_map(|value| value.parse().ok())
        .collect();
    let question = json!({ "values": values, "steps": query.steps });
    let forecast = pool.function_json::<_, Step>("forecast");
    let steps = forecast.stream(&question).await?;
    Ok(Sse::new(steps.map(|step| match step {
        Ok(step) => Event::default().json_data(step),
        Err(error) => Ok(Event::default().event("error").data(error.to_string())),
    })))
}

/// Whether a load balancer should send requests here.
async fn ready(State(pool): State<Pool>) -> StatusCode {
    match pool.status().serving() > 0 && !pool.is_closed() {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    }
}

async fn status(State(pool): State<Pool>) -> Json<ostler_pool::PoolStatus> {
    Json(pool.status())
}

/// Replaces every worker, without a moment in which fewer serve: for example after new code.
async fn restart(State(pool): State<Pool>) -> Response {
    match pool.recycle_all().await {
        Ok(replaced) => Json(json!({ "replaced": replaced })).into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.report().to_string()).into_response(),
    }
}
