//! Maps actions of `spec/WorkerPool.tla` back to inputs: the inverse of [`Mirror::step`].
//!
//! Only inputs have a counterpart. The other actions are decisions, which the pool takes by itself.

use ostler::supervisor::{Fault, Input, LeaseEnd, Milestone, PortFact, Timer};
use ostler::worker;
use ostler::{LeaseId, SessionId, WaiterId, WorkerId};

use crate::trace_mirror::{Client, Mirror};

/// Calls after which a worker has reached its limit, in pools that are driven by actions. So small
/// that the pool does not vary it at random.
pub(crate) const CALL_LIMIT: u64 = 9;

/// Sweeps for idle sessions after which any unused session has expired.
const SWEEPS: usize = 5;

/// Ways to bring about one action: each is a sequence of inputs, the plainest first.
pub(crate) type Ways = Vec<Vec<Input>>;

impl Mirror {
    /// How a driver can bring about this action of `Input`. `name` is an id that no client and no
    /// session has had. No way: the pool cannot be told, such as of a deadline that does not run.
    ///
    /// # Errors
    ///
    /// The action is not one of `Input`, or names what does not exist.
    pub(crate) fn ways(&self, action: &str, name: u64) -> Result<Ways, String> {
        let (kind, parameters) = action.split_once('(').unwrap_or((action, ")"));
        let parameters: Vec<usize> = (parameters.trim_end_matches(')').split(", "))
            .filter_map(number)
            .collect();
        let unknown = || format!("{action} names what does not exist");
        let at = |n: usize| parameters.get(n).copied().ok_or_else(unknown);
        let worker = |n: usize| self.known(at(n)?).ok_or_else(unknown);
        let session = |n: usize| self.sessions[at(n)? - 1].map(|s| s.id).ok_or_else(unknown);
        let fact = |fact| Ok::<_, String>(port(worker(0)?, fact));
        let one = |input| Ok(vec![vec![input]]);
        match kind {
            "Started" => one(fact(PortFact::Started)?),
            "StartFailed" => {
                let of = |is_final| fact(PortFact::StartFailed { is_final });
                let served = self.served.then(|| of(true)).transpose()?;
                Ok([of(false)?]
                    .into_iter()
                    .chain(served)
                    .map(|it| vec![it])
                    .collect())
            }
            "StartFailedForGood" => one(fact(PortFact::StartFailed { is_final: true })?),
            "Exited" => Ok(self.after_stability(at(0)?, fact(PortFact::Exited)?)),
            "Broke" => Ok(self.after_stability(at(0)?, fact(PortFact::Broke)?)),
            "Released" => one(fact(PortFact::Released)?),
            "StartElapsed" => Ok(self.deadline(at(0)?, worker::Timer::Start)),
            "DrainElapsed" => Ok(self.deadline(at(0)?, worker::Timer::Drain)),
            "RungElapsed" | "Abandon" => Ok(self.deadline(at(0)?, worker::Timer::Rung)),
            "GraceElapsed" => {
                let running = self.grace.then(|| vec![elapsed(Timer::SessionGrace)]);
                Ok(running.into_iter().collect())
            }
            "BackoffElapsed" => Ok((self.backoffs.iter())
                .map(|backoff| vec![elapsed(*backoff)])
                .collect()),
            "Checkout" => one(checkout(name, None)),
            "CheckoutFor" | "TellLost" => one(checkout(name, Some(session(1)?))),
            "GiveUp" => match self.clients[at(0)? - 1] {
                Client::Waits(waiter, _) => one(Input::GaveUp { waiter }),
                _ => Err(unknown()),
            },
            "Checkin" => {
                let lease = self.held(at(0)?).ok_or_else(unknown)?;
                let at_limit = Input::LeaseEnded {
                    lease,
                    calls: CALL_LIMIT,
                    errors: 0,
                    unbroken: false,
                    end: LeaseEnd::Clean,
                };
                Ok(vec![vec![ended(lease, LeaseEnd::Clean)], vec![at_limit]])
            }
            "Fault" => {
                let lease = self.held(at(0)?).ok_or_else(unknown)?;
                one(ended(lease, LeaseEnd::Fault(Fault::Abandoned)))
            }
            "CancelBegins" => {
                let lease = self.held(at(0)?).ok_or_else(unknown)?;
                one(ended(lease, LeaseEnd::Cancellable(Fault::Abandoned)))
            }
            "CancelEnds" | "CancelFails" => {
                let lease = on(&self.cancels, worker(0)?).ok_or_else(unknown)?;
                let ended = |clean| vec![Input::CancelEnded { lease, clean }];
                Ok(match kind {
                    "CancelEnds" => vec![ended(true)],
                    _ => vec![ended(false), vec![elapsed(Timer::Cancel { lease })]],
                })
            }
            "OpenSession" => one(Input::OpenSession {
                session: SessionId(name),
            }),
            "EndSession" => one(Input::EndSession {
                session: session(0)?,
            }),
            "Expire" => Ok(vec![vec![elapsed(Timer::IdleSweep); SWEEPS]]),
            "Replace" | "RecycleStarting" => one(Input::Recycle { worker: worker(0)? }),
            "ProbeBegins" => {
                let (worker, milestone) = (worker(0)?, Milestone::Check);
                one(elapsed(Timer::Milestone { worker, milestone }))
            }
            "ProbeEnds" | "ProbeMissed" | "ProbeUnhealthy" => {
                let lease = on(&self.probes, worker(0)?).ok_or_else(unknown)?;
                let probed = |healthy| vec![Input::Probed { lease, healthy }];
                Ok(match kind {
                    "ProbeEnds" => vec![probed(true)],
                    "ProbeUnhealthy" => vec![probed(false)],
                    _ => vec![
                        vec![ended(lease, LeaseEnd::Fault(Fault::ProtocolBroken))],
                        vec![elapsed(Timer::Probe { lease })],
                    ],
                })
            }
            "Drain" => one(Input::Drain),
            "Resume" => one(Input::Resume),
            "Resize" => one(Input::Resize { size: at(0)? }),
            "RecycleAll" => one(Input::RecycleAll),
            "Shutdown" => one(Input::Shutdown),
            _ => Err(format!("{action} is no input")),
        }
    }

    /// Lets the next input be of the client or session that this action names. Without this, it is
    /// of the first free one.
    pub(crate) fn expect(&mut self, action: &str) {
        let named = action.split_once('(').filter(|(kind, _)| {
            matches!(
                *kind,
                "Checkout" | "CheckoutFor" | "TellLost" | "OpenSession"
            )
        });
        let first = named.and_then(|(_, parameters)| number(parameters.split([',', ')']).next()?));
        self.next = first.and_then(|number| number.checked_sub(1));
    }

    fn known(&self, number: usize) -> Option<WorkerId> {
        let worker = self.workers.get(number.checked_sub(1)?)?;
        worker.map(|worker| worker.id)
    }

    fn held(&self, client: usize) -> Option<LeaseId> {
        match self.clients.get(client.checked_sub(1)?)? {
            Client::Holds(lease, _) => Some(*lease),
            _ => None,
        }
    }

    /// A deadline of a worker that passes, if it runs.
    fn deadline(&self, number: usize, of: worker::Timer) -> Ways {
        let timer = self
            .workers
            .get(number - 1)
            .and_then(|worker| worker.as_ref()?.timer);
        let is = |running: &Timer| matches!(running, Timer::Worker { timer, .. } if *timer == of);
        let running = timer.filter(is).map(|timer| vec![elapsed(timer)]);
        running.into_iter().collect()
    }

    /// A failure of a worker, at once or after it has served for so long that earlier failures no
    /// longer count.
    fn after_stability(&self, number: usize, failure: Input) -> Ways {
        let Some(worker) = self.known(number) else {
            return vec![vec![failure]];
        };
        let milestone = Milestone::Stable;
        let stable = elapsed(Timer::Milestone { worker, milestone });
        vec![vec![failure], vec![stable, failure]]
    }
}

/// The number of a worker, or of the client or session with this name.
fn number(parameter: &str) -> Option<usize> {
    let digits = parameter.trim_matches(['"', 'c', 's']);
    digits.parse().ok()
}

fn on(leases: &[LeaseId], worker: WorkerId) -> Option<LeaseId> {
    leases.iter().copied().find(|lease| lease.worker == worker)
}

fn port(worker: WorkerId, fact: PortFact) -> Input {
    Input::Port { worker, fact }
}

fn elapsed(timer: Timer) -> Input {
    Input::Elapsed { timer }
}

fn checkout(name: u64, session: Option<SessionId>) -> Input {
    let waiter = WaiterId(name);
    Input::Checkout { waiter, session }
}

fn ended(lease: LeaseId, end: LeaseEnd) -> Input {
    Input::LeaseEnded {
        lease,
        calls: 0,
        errors: 0,
        unbroken: true,
        end,
    }
}
