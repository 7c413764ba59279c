//! How large the pipes of workers are.
//!
//! For frames of 64 KiB and more, a pipe larger than the default saves most of the context switches
//! between host and worker. But Linux counts the capacity of all pipes of a user. Beyond a quota,
//! 64 MiB by default, no pipe of that user can be enlarged, and each new one gets 8 KiB, those of
//! other programs too. So a worker gets large pipes only while the workers of this process hold a
//! small part of the quota, and the least before they hold most of it.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};

use super::system::{pipe_quota, resize_pipe};

/// The capacities of a pipe that carries frames, in bytes. A worker gets the first one with which
/// all workers of this process hold at most this fraction of the quota. The kernel allocates the
/// memory only while the pipe is filled.
const CAPACITIES: [(u64, u64); 2] = [(256 * 1024, 4), (64 * 1024, 2)];

/// The capacity of a worker's pipes beyond that: what the kernel chooses beyond the quota.
const LEAST: u64 = 8 * 1024;

/// The most that a pipe for stderr gets: the default of Linux.
const STDERR: u64 = 64 * 1024;

/// What the pipes of all workers of this process hold, in bytes.
static HELD: AtomicU64 = AtomicU64::new(0);

/// What the pipes of one worker hold of the quota. Given back on drop.
#[derive(Debug)]
pub(super) struct PipeShare {
    frames: u64,
    held: &'static AtomicU64,
}

impl PipeShare {
    /// Sets the capacities of the pipes of a new worker: two for frames, one for stderr.
    pub(super) fn take(frames: [&OwnedFd; 2], stderr: &OwnedFd) -> Self {
        let share = Self::of(pipe_quota(stderr), &HELD);
        for (pipe, capacity) in [
            (frames[0], share.frames),
            (frames[1], share.frames),
            (stderr, share.frames.min(STDERR)),
        ] {
            // An error means that others have used up the quota, or that the pipe is in use. The
            // capacity is then another one, which the worker does not notice.
            let _: io::Result<()> = resize_pipe(pipe, capacity);
        }
        share
    }

    fn of(quota: u64, held: &'static AtomicU64) -> Self {
        let choose = |before: u64| {
            let fits = |&&(frames, part): &&(u64, u64)| before + total(frames) <= quota / part;
            CAPACITIES
                .iter()
                .find(fits)
                .map_or(LEAST, |&(frames, _)| frames)
        };
        let add = |before: u64| Some(before + total(choose(before)));
        let (Ok(before) | Err(before)) =
            held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        let frames = choose(before);
        Self { frames, held }
    }
}

/// What the three pipes of a worker hold.
fn total(frames: u64) -> u64 {
    2 * frames + frames.min(STDERR)
}

impl Drop for PipeShare {
    fn drop(&mut self) {
        self.held.fetch_sub(total(self.frames), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P32: 1,000 workers stay within a quota of 64 MiB, and the first ones have large pipes. What
    /// ended workers held is used again.
    #[test]
    fn workers_stay_within_the_quota() {
        static HELD: AtomicU64 = AtomicU64::new(0);
        let quota = 64 << 20;
        let take = |count| {
            let shares = (0..count).map(|_| PipeShare::of(quota, &HELD));
            shares.collect::<Vec<PipeShare>>()
        };
        let count = |shares: &[PipeShare], frames| {
            shares.iter().filter(|share| share.frames == frames).count()
        };
        let shares = take(1_000);
        let counts = [256 * 1024, 64 * 1024, LEAST].map(|frames| count(&shares, frames));
        assert_eq!(counts, [28, 86, 886]);
        assert!(HELD.load(Ordering::Relaxed) < 55 << 20);
        drop(shares);
        assert_eq!(HELD.load(Ordering::Relaxed), 0);
        assert_eq!(count(&take(28), 256 * 1024), 28);
    }

    /// P32: without a quota, every worker has large pipes.
    #[test]
    fn without_a_quota_pipes_are_large() {
        static HELD: AtomicU64 = AtomicU64::new(0);
        let shares: Vec<_> = (0..1_000).map(|_| PipeShare::of(u64::MAX, &HELD)).collect();
        assert!(shares.iter().all(|share| share.frames == 256 * 1024));
    }
}
