//! A tag in the environment of each worker.
//!
//! Whatever the worker starts inherits the tag, whichever process group it moves to. So the pool
//! finds processes that have left the worker's group.

use std::env;
use std::ffi::OsString;
use std::hash::{BuildHasher as _, DefaultHasher, Hasher as _, RandomState};
use std::process;

use ostler::WorkerId;

/// The environment variable. A worker that is itself the host of a pool passes its own tag on, in
/// front of those of its workers.
pub(in crate::process) const VARIABLE: &str = "OSTLER_TAG";

/// What the tag of a zygote adds to its pool's.
const ZYGOTE: &str = "zygote";

/// A text that the environments of one worker's processes contain, or of one pool's, and no others.
#[derive(Clone, Debug)]
pub(in crate::process) struct EnvTag(String);

impl EnvTag {
    /// A new tag for a pool. The tag of each of its workers begins with it.
    pub(in crate::process) fn of_pool() -> Self {
        let random = RandomState::new().build_hasher().finish();
        Self(format!("{}-{random:016x}:", process::id()))
    }

    pub(in crate::process) fn of_worker(&self, worker: WorkerId) -> Self {
        Self(format!("{}{}.{};", self.0, worker.slot, worker.generation))
    }

    /// As long as the longest tag of a worker. Each process that the zygote forks overwrites the
    /// part after the pool's tag in its own initial environment, which the kernel reports as its
    /// `environ`: it becomes the worker's `slot.generation;`, and dots for the rest.
    pub(in crate::process) fn of_zygote(&self) -> Self {
        let longest = self.of_worker(WorkerId {
            slot: usize::MAX,
            generation: u64::MAX,
        });
        let width = longest.0.len() - self.0.len() - 1;
        Self(format!("{}{:.<width$};", self.0, "zygote"))
    }

    pub(in crate::process) fn as_str(&self) -> &str {
        &self.0
    }

    /// A file name for what belongs to this tag. That of a worker begins with that of its pool.
    /// Every user can read it, and no user can compute the tag from it.
    pub(in crate::process) fn file_name(&self) -> String {
        let (pool, worker) = self
            .0
            .split_once(':')
            .expect("a tag begins with its pool's");
        let mut hash = DefaultHasher::new();
        hash.write(pool.as_bytes());
        let worker = worker.trim_end_matches([';', '.']);
        let name = format!("ostler-{:016x}-{worker}", hash.finish());
        name.trim_end_matches('-').to_owned()
    }

    /// The variable's value for a process that is to carry this tag.
    pub(in crate::process) fn value(&self) -> OsString {
        let mut value = env::var_os(VARIABLE).unwrap_or_default();
        value.push(&self.0);
        value
    }

    /// What this tag adds to its pool's. Empty for the tag of a pool.
    pub(in crate::process) fn part(&self) -> &[u8] {
        let colon = self.0.bytes().position(|byte| byte == b':');
        &self.0.as_bytes()[colon.expect("a tag begins with its pool's") + 1..]
    }

    /// Whether `part` is that of a zygote.
    pub(in crate::process) fn is_zygote(part: &[u8]) -> bool {
        part.starts_with(ZYGOTE.as_bytes())
    }

    /// Whether an environment contains the tag of any pool of this process.
    pub(in crate::process) fn is_from_this_host(environ: &[u8]) -> bool {
        let name = format!("{VARIABLE}=");
        let values = environ.split(|&byte| byte == 0);
        let value = values
            .filter_map(|entry| entry.strip_prefix(name.as_bytes()))
            .next();
        let tags = value.unwrap_or_default().split(|&byte| byte == b';');
        let host = format!("{}-", process::id());
        tags.into_iter().any(|tag| tag.starts_with(host.as_bytes()))
    }

    /// The parts of this pool's tags that an environment contains, each with its semicolon.
    pub(in crate::process) fn parts<'a>(
        &'a self,
        environ: &'a [u8],
    ) -> impl Iterator<Item = &'a [u8]> {
        let pool = self.0.as_bytes();
        let found = environ.windows(pool.len()).enumerate();
        found.filter_map(move |(at, text)| {
            let rest = &environ[at + pool.len()..];
            let end = || rest.iter().position(|&byte| byte == b';');
            (text == pool).then(end)?.map(|end| &rest[..=end])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No worker's tag contains another's, and each begins with its pool's. The longest fits in the
    /// place of the zygote's.
    #[test]
    fn tags_tell_workers_apart() {
        let (pool, other) = (EnvTag::of_pool(), EnvTag::of_pool());
        let tag = |pool: &EnvTag, slot, generation| pool.of_worker(WorkerId { slot, generation }).0;
        assert!(tag(&pool, 0, 1).starts_with(pool.as_str()));
        assert!(!tag(&pool, 0, 1).contains(other.as_str()));
        for (slot, generation) in [(0, 12), (0, 11), (10, 1), (1, 0)] {
            assert!(!tag(&pool, slot, generation).contains(&tag(&pool, 0, 1)));
        }
        let zygote = pool.of_zygote().0;
        assert_eq!(zygote.len(), tag(&pool, usize::MAX, u64::MAX).len());
        assert!(zygote.starts_with(&format!("{}zygote.", pool.as_str())) && zygote.ends_with(".;"));
    }

    /// P29: the names of control groups, which every user can read, do not contain the tag.
    #[test]
    fn a_file_name_does_not_reveal_the_tag() {
        let pool = EnvTag::of_pool();
        let worker = pool.of_worker(WorkerId {
            slot: 3,
            generation: 7,
        });
        let (_, random) = pool.as_str().trim_end_matches(':').split_once('-').unwrap();
        assert!(!worker.file_name().contains(random));
        assert_eq!(worker.file_name(), format!("{}-3.7", pool.file_name()));
        assert_ne!(pool.file_name(), EnvTag::of_pool().file_name());
    }

    /// P3: the parts of a pool's tags are found wherever they are in an environment, also beside
    /// those of other pools, and also when the environment is cut.
    #[test]
    fn the_parts_of_an_environment_are_found() {
        let (pool, other) = (EnvTag::of_pool(), EnvTag::of_pool());
        let of = |pool: &EnvTag, slot| {
            pool.of_worker(WorkerId {
                slot,
                generation: 7,
            })
        };
        let (mine, outer) = (of(&pool, 0), of(&other, 1));
        let environ = format!("A=b\0{VARIABLE}={}{}\0C=d\0", outer.0, mine.0);
        let parts = |pool: &EnvTag, environ: &str| -> Vec<Vec<u8>> {
            pool.parts(environ.as_bytes()).map(<[u8]>::to_vec).collect()
        };
        assert_eq!(parts(&pool, &environ), [mine.part()]);
        assert_eq!(parts(&other, &environ), [outer.part()]);
        assert_eq!(mine.part(), b"0.7;");
        assert_eq!(pool.part(), b"");
        assert!(EnvTag::is_zygote(pool.of_zygote().part()));
        assert!(!EnvTag::is_zygote(mine.part()));
        assert_eq!(parts(&pool, mine.as_str().trim_end_matches(';')), [b""; 0]);
    }

    /// P20: a process of this host's pools is told by the value of the variable, which may begin
    /// with tags of outer hosts.
    #[test]
    fn the_host_of_an_environment_is_found() {
        let tag = EnvTag::of_pool().of_worker(WorkerId {
            slot: 0,
            generation: 7,
        });
        let is_own =
            |entry: String| EnvTag::is_from_this_host(format!("A=b\0{entry}\0").as_bytes());
        assert!(is_own(format!("{VARIABLE}={}", tag.0)));
        assert!(is_own(format!("{VARIABLE}=1-0:1.1;{}", tag.0)));
        assert!(!is_own(format!("{VARIABLE}=1-0:1.1;")));
        assert!(!is_own(format!("OTHER={}", tag.0)));
        assert!(!is_own(String::new()));
    }
}
