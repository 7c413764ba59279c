//! Interleaved rounds: each subject runs once per round, so that a slow moment of the machine meets
//! all of them.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// One thing to measure: returns the time of one operation, in ns.
pub(crate) type Subject<'a> = Box<dyn FnMut() -> f64 + 'a>;

/// Measures the subjects in turn and returns each one's times, sorted. The first round warms up.
pub(crate) fn interleave(rounds: usize, subjects: &mut [Subject<'_>]) -> Vec<Vec<f64>> {
    let mut times = vec![Vec::new(); subjects.len()];
    for round in 0..=rounds {
        for (subject, times) in subjects.iter_mut().zip(&mut times) {
            let time = subject();
            if round > 0 {
                times.push(time);
            }
        }
    }
    for times in &mut times {
        times.sort_by(f64::total_cmp);
    }
    times
}

/// The median of sorted times.
pub(crate) fn median(times: &[f64]) -> f64 {
    times[times.len() / 2]
}

/// The CPU time of this thread. Unlike the time of day, it does not count what other programs
/// compute, so it suits work that waits for nothing.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The CPU time of `work` divided by `count`, in ns.
pub(crate) fn each(count: usize, work: impl FnOnce()) -> f64 {
    let start = cpu();
    work();
    nanos(cpu() - start) / count as f64
}

pub(crate) fn nanos(time: Duration) -> f64 {
    1e9 * time.as_secs_f64()
}

/// A time in the unit that suits it.
pub(crate) fn shown(nanos: f64) -> String {
    match nanos {
        1e9.. => format!("{:.2} s", nanos / 1e9),
        1e6.. => format!("{:.2} ms", nanos / 1e6),
        1e3.. => format!("{:.2} us", nanos / 1e3),
        _ => format!("{nanos:.0} ns"),
    }
}
