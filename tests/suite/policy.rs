//! Does a policy accept exactly the documented range of each option?

use std::time::Duration;

use ostler::Policy;
use ostler::policy::{InvalidOption, MAX_SIZE, MAX_TIMEOUT};
use ostler::supervisor::Supervisor;

/// A policy with one option changed.
type Change = fn(&mut Policy);

const NANO: Duration = Duration::from_nanos(1);

fn refused(change: Change) -> Option<InvalidOption> {
    let mut policy = Policy::new(2);
    change(&mut policy);
    let by_policy = policy.validate().err();
    let by_supervisor = Supervisor::new(policy, 1).err();
    assert_eq!(by_policy, by_supervisor);
    by_policy
}

/// L20: the first and the last value of each option's range are accepted.
#[test]
fn the_ends_of_each_range_are_in_it() {
    let ends: &[Change] = &[
        |p| p.size = 1,
        |p| p.size = 16_384,
        |p| p.surge = 1,
        |p| p.surge = MAX_SIZE,
        |p| p.max_starting = 1,
        |p| p.max_starting = MAX_SIZE,
        |p| p.crash_loop = 1,
        |p| p.crash_loop = u32::MAX,
        |p| p.max_waiting = 0,
        |p| p.max_sessions = 0,
        |p| p.start_timeout = NANO,
        |p| p.start_timeout = Duration::from_secs(7 * 86_400),
        |p| p.restart_backoff = NANO,
        |p| p.restart_backoff = p.restart_backoff_max,
        |p| p.restart_backoff_max = p.restart_backoff,
        |p| p.restart_backoff_max = MAX_TIMEOUT,
        |p| p.restart_reset = NANO,
        |p| p.restart_reset = MAX_TIMEOUT,
        |p| p.session_idle_timeout = Some(Duration::from_millis(10)),
        |p| p.session_idle_timeout = Some(MAX_TIMEOUT),
        |p| p.session_idle_timeout = None,
        |p| p.health_check_interval = Duration::from_millis(10),
        |p| p.health_check_interval = MAX_TIMEOUT,
        |p| p.health_check_timeout = NANO,
        |p| p.health_check_timeout = MAX_TIMEOUT,
        |p| p.health_failure_threshold = 1,
        |p| p.health_failure_threshold = u32::MAX,
        |p| p.max_worker_age = Some(Duration::from_millis(10)),
        |p| p.max_worker_age = Some(MAX_TIMEOUT),
        |p| p.max_worker_age = None,
        |p| p.max_worker_requests = Some(1),
        |p| p.max_worker_requests = Some(u64::MAX),
        |p| p.max_worker_requests = None,
        |p| p.max_worker_memory = Some(1 << 20),
        |p| p.max_worker_memory = Some(u64::MAX),
        |p| p.error_threshold = Some(1),
        |p| p.error_threshold = Some(u32::MAX),
        |p| p.error_threshold = None,
        |p| p.min_worker_life = Duration::ZERO,
        |p| p.min_worker_life = MAX_TIMEOUT,
        |p| p.shutdown_timeout = Duration::from_millis(10),
        |p| p.shutdown_timeout = MAX_TIMEOUT,
        |p| p.cancel_grace = Some(NANO),
        |p| p.cancel_grace = Some(MAX_TIMEOUT),
        |p| p.cancel_grace = None,
        |p| p.ask_grace = Duration::ZERO,
        |p| p.ask_grace = MAX_TIMEOUT,
        |p| p.term_grace = Duration::ZERO,
        |p| p.term_grace = MAX_TIMEOUT,
        |p| p.session_grace = Duration::ZERO,
        |p| p.session_grace = MAX_TIMEOUT,
        |p| p.release_timeout = Duration::from_millis(10),
        |p| p.release_timeout = MAX_TIMEOUT,
    ];
    for (number, change) in ends.iter().enumerate() {
        assert_eq!(refused(*change), None, "entry {number}");
    }
}

/// L20: a value beyond either end is refused, with the option's name, the value and the range.
#[test]
fn values_out_of_range_are_refused() {
    let beyond: &[(Change, &str)] = &[
        (|p| p.size = 0, "`size` is 0; it must be 1 to 16384"),
        (
            |p| p.size = 16_385,
            "`size` is 16385; it must be 1 to 16384",
        ),
        (|p| p.surge = 0, "`surge` is 0; it must be 1 to 16384"),
        (
            |p| p.surge = 16_385,
            "`surge` is 16385; it must be 1 to 16384",
        ),
        (
            |p| p.max_starting = 0,
            "`max_starting` is 0; it must be 1 to 16384",
        ),
        (
            |p| p.max_starting = 16_385,
            "`max_starting` is 16385; it must be 1 to 16384",
        ),
        (
            |p| p.crash_loop = 0,
            "`crash_loop` is 0; it must be at least 1",
        ),
        (
            |p| p.start_timeout = Duration::ZERO,
            "`start_timeout` is 0ns; it must be 1ns to 604800s",
        ),
        (
            |p| p.start_timeout = MAX_TIMEOUT + NANO,
            "`start_timeout` is 604800.000000001s; it must be 1ns to 604800s",
        ),
        (
            |p| p.restart_backoff = Duration::ZERO,
            "`restart_backoff` is 0ns; it must be 1ns to 604800s",
        ),
        (
            |p| p.restart_backoff = p.restart_backoff_max + NANO,
            "`restart_backoff_max` is 30s; it must be 30.000000001s to 604800s",
        ),
        (
            |p| p.restart_reset = Duration::ZERO,
            "`restart_reset` is 0ns; it must be 1ns to 604800s",
        ),
        (
            |p| p.session_idle_timeout = Some(Duration::from_millis(10) - NANO),
            "`session_idle_timeout` is 9.999999ms; it must be 10ms to 604800s",
        ),
        (
            |p| p.health_check_interval = Duration::from_millis(10) - NANO,
            "`health_check_interval` is 9.999999ms; it must be 10ms to 604800s",
        ),
        (
            |p| p.health_check_timeout = Duration::ZERO,
            "`health_check_timeout` is 0ns; it must be 1ns to 604800s",
        ),
        (
            |p| p.health_failure_threshold = 0,
            "`health_failure_threshold` is 0; it must be at least 1",
        ),
        (
            |p| p.max_worker_age = Some(Duration::from_millis(10) - NANO),
            "`max_worker_age` is 9.999999ms; it must be 10ms to 604800s",
        ),
        (
            |p| p.max_worker_requests = Some(0),
            "`max_worker_requests` is 0; it must be at least 1",
        ),
        (
            |p| p.max_worker_memory = Some((1 << 20) - 1),
            "`max_worker_memory` is 1048575; it must be at least 1048576",
        ),
        (
            |p| p.error_threshold = Some(0),
            "`error_threshold` is 0; it must be at least 1",
        ),
        (
            |p| p.min_worker_life = MAX_TIMEOUT + NANO,
            "`min_worker_life` is 604800.000000001s; it must be 0ns to 604800s",
        ),
        (
            |p| p.shutdown_timeout = Duration::from_millis(10) - NANO,
            "`shutdown_timeout` is 9.999999ms; it must be 10ms to 604800s",
        ),
        (
            |p| p.cancel_grace = Some(Duration::ZERO),
            "`cancel_grace` is 0ns; it must be 1ns to 604800s",
        ),
        (
            |p| p.ask_grace = MAX_TIMEOUT + NANO,
            "`ask_grace` is 604800.000000001s; it must be 0ns to 604800s",
        ),
        (
            |p| p.term_grace = MAX_TIMEOUT + NANO,
            "`term_grace` is 604800.000000001s; it must be 0ns to 604800s",
        ),
        (
            |p| p.session_grace = MAX_TIMEOUT + NANO,
            "`session_grace` is 604800.000000001s; it must be 0ns to 604800s",
        ),
        (
            |p| p.release_timeout = Duration::from_millis(10) - NANO,
            "`release_timeout` is 9.999999ms; it must be 10ms to 604800s",
        ),
    ];
    for (change, text) in beyond {
        let refused = refused(*change).map(|invalid| invalid.to_string());
        assert_eq!(refused, Some(format!("option {text}")));
    }
}

/// A new size for a running pool must be in the same range.
#[test]
fn a_new_size_is_checked() {
    assert_eq!(Policy::validate_size(1), Ok(()));
    assert_eq!(Policy::validate_size(MAX_SIZE), Ok(()));
    for size in [0, MAX_SIZE + 1] {
        let invalid = Policy::validate_size(size).unwrap_err();
        assert_eq!((invalid.option, invalid.value), ("size", size.to_string()));
    }
}
