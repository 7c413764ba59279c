//! Options from environment variables.

use std::env;
use std::ffi::OsString;

use ostler::policy::InvalidOption;

use super::Config;
use super::options::{NAMES, Setting};

/// Variables that ostler sets for its workers. A worker may be a host itself.
const OWN: [&str; 2] = ["OSTLER_TAG", "OSTLER_POSITION"];

impl Config {
    /// Sets the options that environment variables name: `prefix` and the option in capitals.
    ///
    /// Durations and sizes have units (`30s`, `64MiB`) or are numbers of seconds and bytes; `none`
    /// turns an optional limit off.
    ///
    /// ```
    /// use ostler_pool::Config;
    ///
    /// // With MODEL_POOL_SIZE=4 and MODEL_POOL_CALL_TIMEOUT=10s, 4 workers and 10 s.
    /// let config = Config::default().with_env("MODEL_POOL_")?;
    /// # assert_eq!(config, Config::default());
    /// # Ok::<(), ostler_pool::EnvError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`EnvError`] for the first variable that has the prefix and names no option, or whose value
    /// is not of its option's type. [`validate`](Self::validate) and
    /// [`build`](crate::Builder::build) check the ranges.
    pub fn with_env(self, prefix: &str) -> Result<Self, EnvError> {
        self.with_variables(prefix, env::vars_os())
    }

    fn with_variables(
        mut self,
        prefix: &str,
        variables: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Self, EnvError> {
        for (variable, value) in variables {
            let variable = variable.to_string_lossy().into_owned();
            let Some(option) = variable.strip_prefix(prefix) else {
                continue;
            };
            if OWN.contains(&&*variable) {
                continue;
            }
            let named = |name: &&&str| name.to_uppercase() == option;
            let Some(name) = NAMES.iter().find(named) else {
                return Err(EnvError::Unknown { variable });
            };
            let value = value.to_string_lossy().into_owned();
            // A name may look like a number.
            let set = self.set(name, &Setting::Text(value.clone()));
            let set = set.or_else(|_| self.set(name, &Setting::from_text(value)));
            set.map_err(|source| EnvError::Invalid { variable, source })?;
        }
        Ok(self)
    }
}

impl Setting {
    /// Of a format whose values are all text.
    fn from_text(text: String) -> Self {
        if let Ok(on) = text.parse() {
            Self::Switch(on)
        } else if let Ok(number) = text.parse() {
            Self::Whole(number)
        } else if let Ok(number) = text.parse() {
            Self::Fraction(number)
        } else {
            Self::Text(text)
        }
    }
}

/// An environment variable that cannot be read into a [`Config`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvError {
    /// It has the prefix, and names no option.
    #[error(
        "the environment variable `{variable}` names no option of a pool: correct it or unset it"
    )]
    Unknown {
        /// Its name.
        variable: String,
    },
    /// Its value is not of the option's type.
    #[error("the environment variable `{variable}` cannot be used")]
    Invalid {
        /// Its name.
        variable: String,
        /// The option, the value, and what it must be.
        source: InvalidOption,
    },
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::AbandonedCalls;

    fn read(variables: &[(&str, &str)]) -> Result<Config, EnvError> {
        let variables = variables.iter();
        let variables = variables.map(|(name, value)| ((*name).into(), (*value).into()));
        Config::default().with_variables("APP_POOL_", variables)
    }

    /// Variables set options of every kind; those without the prefix set nothing.
    #[test]
    fn variables_set_options() {
        let config = read(&[
            ("APP_POOL_SIZE", "4"),
            ("APP_POOL_CALL_TIMEOUT", "1.5"),
            ("APP_POOL_TERM_GRACE", "500ms"),
            ("APP_POOL_MAX_WORKER_AGE", "none"),
            ("APP_POOL_MAX_WORKER_MEMORY", "2GB"),
            ("APP_POOL_MAX_FRAME", "4096"),
            ("APP_POOL_ENABLE_HEALTH_MONITORING", "false"),
            ("APP_POOL_ABANDONED_CALLS", "cancel=5s"),
            ("APP_POOL_NAME", "007"),
            ("SIZE", "5"),
            ("app_pool_surge", "6"),
        ]);
        let expected = Config {
            size: 4,
            call_timeout: Duration::from_millis(1500),
            term_grace: Duration::from_millis(500),
            max_worker_age: None,
            max_worker_memory: Some(2_000_000_000),
            max_frame: 4096,
            enable_health_monitoring: false,
            abandoned_calls: AbandonedCalls::Cancel(Duration::from_secs(5)),
            name: Some("007".to_owned()),
            ..Config::default()
        };
        assert_eq!(config, Ok(expected));
    }

    /// The variables that a worker gets are no options, whatever the prefix.
    #[test]
    fn the_variables_of_a_worker_are_no_options() {
        let own = OWN.map(|name| (name.into(), "1".into()));
        let config = Config::default().with_variables("OSTLER_", own.into_iter());
        assert_eq!(config, Ok(Config::default()));
    }

    /// A variable that cannot be used is named, with its value and what it must be.
    #[test]
    fn a_variable_that_cannot_be_used_is_named() {
        let unknown = read(&[("APP_POOL_SIZ", "4")]).unwrap_err();
        assert_eq!(
            unknown.to_string(),
            "the environment variable `APP_POOL_SIZ` names no option of a pool: correct it or unset it"
        );
        let EnvError::Invalid { variable, source } =
            read(&[("APP_POOL_CALL_TIMEOUT", "5 parsecs")]).unwrap_err()
        else {
            panic!("the value is no duration")
        };
        assert_eq!(variable, "APP_POOL_CALL_TIMEOUT");
        assert_eq!(
            source.to_string(),
            "option `call_timeout` is \"5 parsecs\"; it must be a duration such as `500ms`, `30s` or `1h`"
        );
    }
}
