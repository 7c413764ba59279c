//! Runs one hot path a number of times, for `.ci/instructions`, which counts its instructions.
//!
//! ```text
//! cargo run --release -p ostler-hot-paths -- pairs 1000
//! ```

#[path = "../parts/clients.rs"]
#[allow(dead_code)]
mod clients;
#[path = "../parts/rounds.rs"]
#[allow(dead_code)]
mod rounds;
#[path = "../parts/simulated.rs"]
#[allow(dead_code)]
mod simulated;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, count] = arguments.as_slice() else {
        panic!("a path and a number of repetitions");
    };
    let count = count.parse().expect("a number");
    let pool = simulated::Simulated::open(4);
    match path.as_str() {
        "pairs" => pool.pairs(count),
        "contended" => pool.contended(64, count),
        "calls" => pool.calls(count),
        other => panic!("there is no path `{other}`"),
    };
}
