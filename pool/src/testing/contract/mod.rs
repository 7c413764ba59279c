//! Tests the contract of a port.

mod member;
mod steps;
mod watch;
mod worker;

use std::fmt::{self, Debug};
use std::future::Future;
use std::time::Duration;

use tokio::time::timeout;

use self::steps::{Check, STEPS};
use self::watch::{CLOSE, PREPARE};
use crate::port::Opener;

/// The timeout of each step. No step waits for more than a process that starts or exits, so only a
/// port that breaks the contract reaches it.
const STEP_TIMEOUT: Duration = Duration::from_secs(30);

/// How often a step is repeated whose violation may come from other threads of this process or from
/// a busy machine. A port that breaks the contract does so each time.
const ATTEMPTS: u32 = 3;

/// A requirement of [`Opener`] or [`Port`](crate::port::Port) that an implementation does not meet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("port contract violated: expected that {requirement}; found {found}")]
#[non_exhaustive]
pub struct ContractViolation {
    /// The requirement, as a sentence.
    pub requirement: &'static str,
    /// What was found instead.
    pub found: String,
    /// Whether something else than the port can cause it.
    may_be_noise: bool,
}

/// What [`check_port`] could not check. Everything else is as the contract requires.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "it lists what was not checked"]
pub struct PortCheck {
    /// The requirements that were not checked, each once.
    pub unchecked: Vec<Unchecked>,
}

/// A requirement that [`check_port`] could not check.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unchecked {
    /// The requirement, as a sentence.
    pub requirement: &'static str,
    /// Why it was not checked.
    pub reason: String,
}

impl PortCheck {
    fn add(&mut self, requirement: &'static str, reason: impl Into<String>) {
        let reason = reason.into();
        if (self.unchecked.iter()).all(|unchecked| unchecked.requirement != requirement) {
            self.unchecked.push(Unchecked {
                requirement,
                reason,
            });
        }
    }
}

/// One line for each requirement.
impl fmt::Display for PortCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.unchecked.is_empty() {
            return f.write_str("the port meets the whole contract");
        }
        f.write_str("the port meets what could be checked of the contract. Not checked:")?;
        for Unchecked {
            requirement,
            reason,
        } in &self.unchecked
        {
            write!(f, "\n  {requirement}: {reason}")?;
        }
        Ok(())
    }
}

/// Checks that the ports of an opener meet the contract that the pool relies on; see
/// [`port`](crate::port).
///
/// Opens 8 to 12 ports, and takes about as long as their starts. Their workers must speak the frame
/// protocol, exit on `SIGTERM`, and start no processes that leave their group. Each step has a
/// timeout of 30 s.
///
/// - Every call and every poll is timed. None may block its thread for 100 ms, and a poll of `open`
///   not for 500 ms.
/// - A panic of a method is a violation, like any other.
/// - Where there is a `/proc` and a port names a process id, a process of the check joins the
///   worker's process group, to find out what `terminate`, `kill`, `released` and the drop do with
///   the worker's children.
/// - Where there is a `/proc`, the children and the descriptors of this process are compared before
///   and after each port. Call it in an [`isolated`](super::isolated) test, because those of other
///   tests look like leaks. What an opener shares among its ports may stay from the first port on.
///
/// ```
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// use ostler_pool::Python;
/// use ostler_pool::testing::check_port;
///
/// let checked = check_port(Python::function("builtins:bytes")).await?;
/// assert!(checked.unchecked.is_empty(), "{checked}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A port without processes cannot be checked for what it does to processes:
///
/// ```
/// # let mut paused = tokio::runtime::Builder::new_current_thread();
/// # paused.enable_all().start_paused(true).build()?.block_on(async {
/// use ostler_pool::testing::{Sim, check_port};
///
/// let checked = check_port(Sim::new([])).await?;
/// let unchecked = checked.unchecked.iter().map(|unchecked| unchecked.requirement);
/// assert!(unchecked.collect::<Vec<_>>().contains(
///     &"`released` leaves no process of the worker's group alive"
/// ));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// The first requirement that is not met.
pub async fn check_port(mut opener: impl Opener) -> Result<PortCheck, ContractViolation> {
    let prepared = PREPARE.call(|| opener.prepare())?;
    prepared.map_err(|error| violation("`prepare` succeeds for an opener that can open", error))?;
    let mut check = Check::new(&opener);
    for step in STEPS {
        let mut attempt = 1;
        while let Err(violation) = check.take(step).await {
            if !violation.may_be_noise || attempt == ATTEMPTS {
                return Err(violation);
            }
            attempt += 1;
        }
    }
    let checked = check.into_checked();
    let closing = CLOSE.call(|| opener.close())?;
    within("`close` completes", CLOSE.polled(closing)).await??;
    Ok(checked)
}

async fn within<T>(
    requirement: &'static str,
    future: impl Future<Output = T>,
) -> Result<T, ContractViolation> {
    let done = timeout(STEP_TIMEOUT, future).await;
    done.map_err(|_| violation(requirement, format!("a timeout after {STEP_TIMEOUT:?}")))
}

fn expect<T: Debug + PartialEq>(
    requirement: &'static str,
    found: T,
    expected: T,
) -> Result<(), ContractViolation> {
    if found == expected {
        Ok(())
    } else {
        Err(violation(requirement, format!("{found:?}")))
    }
}

fn violation(requirement: &'static str, found: impl ToString) -> ContractViolation {
    ContractViolation {
        requirement,
        found: found.to_string(),
        may_be_noise: false,
    }
}

/// A violation that counts only if it is found each time.
fn noisy(requirement: &'static str, found: impl ToString) -> ContractViolation {
    ContractViolation {
        may_be_noise: true,
        ..violation(requirement, found)
    }
}
