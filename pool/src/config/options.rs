//! Reading and writing options by their names, one table for every format.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use ostler::policy::InvalidOption;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde::ser::{SerializeStruct as _, Serializer};
use serde::{Deserialize, Serialize};

use super::units::{read_duration, read_size, write_duration, write_size};
use super::{AbandonedCalls, Config};
use crate::stderr::Stderr;

/// Every option, and how its value is written. A field of `Config` that is missing here does not
/// compile.
macro_rules! options {
    ($($name:ident: $kind:ty,)*) => {
        pub(super) const NAMES: &[&str] = &[$(stringify!($name)),*];

        impl Config {
            /// Sets the option of this name, which is one of `NAMES`.
            pub(super) fn set(&mut self, name: &str, to: &Setting) -> Result<(), InvalidOption> {
                match name {
                    $(stringify!($name) => self.$name = read::<$kind>(stringify!($name), to)?,)*
                    _ => unreachable!("{name} is in the list of options"),
                }
                Ok(())
            }

            fn settings(&self) -> Vec<(&'static str, Setting)> {
                let Self { $($name),* } = self;
                vec![$((stringify!($name), <$kind>::write($name))),*]
            }
        }
    };
}

options! {
    name: OrNone<Name>,
    lease_warning: OrNone<Time>,
    stderr: Route,
    size: Count<usize>,
    surge: Count<usize>,
    max_starting: Count<usize>,
    start_timeout: Time,
    restart_backoff: Time,
    restart_backoff_max: Time,
    restart_reset: Time,
    crash_loop: Count<u32>,
    max_waiting: Count<usize>,
    checkout_timeout: Time,
    call_timeout: Time,
    abandoned_calls: Abandoned,
    max_sessions: Count<usize>,
    session_idle_timeout: OrNone<Time>,
    session_grace: Time,
    enable_health_monitoring: Switch,
    health_check_interval: Time,
    health_check_timeout: Time,
    health_failure_threshold: Count<u32>,
    max_worker_age: OrNone<Time>,
    max_worker_requests: OrNone<Count<u64>>,
    max_worker_memory: OrNone<Size<u64>>,
    error_threshold: OrNone<Count<u32>>,
    min_worker_life: Time,
    shutdown_timeout: Time,
    ask_grace: Time,
    term_grace: Time,
    release_timeout: Time,
    max_frame: Size<usize>,
}

/// A value as a format has it, before its option says what it must be.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "the option must be a number, a text, true or false"
)]
pub(super) enum Setting {
    None,
    Switch(bool),
    Whole(u64),
    Fraction(f64),
    Text(String),
    Table(BTreeMap<String, Setting>),
}

/// What an option's value can be.
trait Kind {
    type Value;
    fn must_be() -> String;
    fn read(setting: &Setting) -> Option<Self::Value>;
    fn write(value: &Self::Value) -> Setting;
}

/// A number without a unit.
struct Count<T>(PhantomData<T>);
/// A duration with a unit, or a number of seconds.
struct Time;
/// A size with a unit, or a number of bytes.
struct Size<T>(PhantomData<T>);
struct Switch;
struct Name;
struct Route;
/// `stop`, `finish`, or a table with the one entry `cancel`. Text has `cancel=5s` for that.
struct Abandoned;
/// Written as `none` where a format has no other word for it, as TOML has not.
struct OrNone<K>(PhantomData<K>);

fn read<K: Kind>(option: &'static str, setting: &Setting) -> Result<K::Value, InvalidOption> {
    K::read(setting).ok_or_else(|| InvalidOption {
        option,
        value: setting.to_string(),
        allowed: K::must_be(),
    })
}

impl<T: TryFrom<u64> + TryInto<u64> + Copy> Kind for Count<T> {
    type Value = T;

    fn must_be() -> String {
        "a whole number".to_owned()
    }

    fn read(setting: &Setting) -> Option<T> {
        match setting {
            Setting::Whole(number) => T::try_from(*number).ok(),
            _ => None,
        }
    }

    fn write(value: &T) -> Setting {
        Setting::Whole((*value).try_into().unwrap_or(u64::MAX))
    }
}

impl Kind for Time {
    type Value = Duration;

    fn must_be() -> String {
        "a duration such as `500ms`, `30s` or `1h`".to_owned()
    }

    fn read(setting: &Setting) -> Option<Duration> {
        match setting {
            Setting::Whole(seconds) => Some(Duration::from_secs(*seconds)),
            Setting::Fraction(seconds) => Duration::try_from_secs_f64(*seconds).ok(),
            Setting::Text(text) => read_duration(text),
            _ => None,
        }
    }

    fn write(value: &Duration) -> Setting {
        Setting::Text(write_duration(*value))
    }
}

impl<T: TryFrom<u64> + TryInto<u64> + Copy> Kind for Size<T> {
    type Value = T;

    fn must_be() -> String {
        "a size such as `64MiB` or `2GB`, or a number of bytes".to_owned()
    }

    fn read(setting: &Setting) -> Option<T> {
        match setting {
            Setting::Text(text) => T::try_from(read_size(text)?).ok(),
            bytes => Count::read(bytes),
        }
    }

    fn write(value: &T) -> Setting {
        let bytes = (*value).try_into().unwrap_or(u64::MAX);
        write_size(bytes).map_or(Setting::Whole(bytes), Setting::Text)
    }
}

impl Kind for Switch {
    type Value = bool;

    fn must_be() -> String {
        "true or false".to_owned()
    }

    fn read(setting: &Setting) -> Option<bool> {
        match setting {
            Setting::Switch(on) => Some(*on),
            _ => None,
        }
    }

    fn write(value: &bool) -> Setting {
        Setting::Switch(*value)
    }
}

impl Kind for Name {
    type Value = String;

    fn must_be() -> String {
        "a text".to_owned()
    }

    fn read(setting: &Setting) -> Option<String> {
        match setting {
            Setting::Text(text) => Some(text.clone()),
            _ => None,
        }
    }

    fn write(value: &String) -> Setting {
        Setting::Text(value.clone())
    }
}

impl Kind for Route {
    type Value = Stderr;

    fn must_be() -> String {
        "`auto`, `log`, `host`, `both` or `null`".to_owned()
    }

    fn read(setting: &Setting) -> Option<Stderr> {
        let Setting::Text(text) = setting else {
            return None;
        };
        let mut routes = Stderr::ALL.into_iter();
        routes.find(|route| route.name() == text)
    }

    fn write(value: &Stderr) -> Setting {
        Setting::Text(value.name().to_owned())
    }
}

impl Kind for Abandoned {
    type Value = AbandonedCalls;

    fn must_be() -> String {
        "`stop`, `finish` or `{ cancel = \"5s\" }`".to_owned()
    }

    fn read(setting: &Setting) -> Option<AbandonedCalls> {
        match setting {
            Setting::Text(text) => match (text.as_str(), text.strip_prefix("cancel=")) {
                ("stop", _) => Some(AbandonedCalls::Stop),
                ("finish", _) => Some(AbandonedCalls::Finish),
                (_, grace) => read_duration(grace?).map(AbandonedCalls::Cancel),
            },
            Setting::Table(table) if table.len() == 1 => {
                Time::read(table.get("cancel")?).map(AbandonedCalls::Cancel)
            }
            _ => None,
        }
    }

    fn write(value: &AbandonedCalls) -> Setting {
        match value {
            AbandonedCalls::Stop => Setting::Text("stop".to_owned()),
            AbandonedCalls::Finish => Setting::Text("finish".to_owned()),
            AbandonedCalls::Cancel(grace) => {
                Setting::Table([("cancel".to_owned(), Time::write(grace))].into())
            }
        }
    }
}

impl<K: Kind> Kind for OrNone<K> {
    type Value = Option<K::Value>;

    fn must_be() -> String {
        format!("{}, or `none`", K::must_be())
    }

    fn read(setting: &Setting) -> Option<Option<K::Value>> {
        match setting {
            Setting::None => Some(None),
            Setting::Text(text) if text == "none" => Some(None),
            other => K::read(other).map(Some),
        }
    }

    fn write(value: &Option<K::Value>) -> Setting {
        match value {
            Some(value) => K::write(value),
            None => Setting::Text("none".to_owned()),
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("null"),
            Self::Switch(on) => on.fmt(f),
            Self::Whole(number) => number.fmt(f),
            Self::Fraction(number) => number.fmt(f),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Table(table) => {
                let entries = table
                    .iter()
                    .map(|(name, value)| format!("{name} = {value}"));
                write!(f, "{{ {} }}", entries.collect::<Vec<_>>().join(", "))
            }
        }
    }
}

impl Serialize for Config {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut to = to.serialize_struct("Config", NAMES.len())?;
        for (name, setting) in self.settings() {
            to.serialize_field(name, &setting)?;
        }
        to.end()
    }
}

impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Options)
    }
}

struct Options;

impl<'de> Visitor<'de> for Options {
    type Value = Config;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the options of a pool")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Config, A::Error> {
        let mut config = Config::default();
        let mut seen: Vec<&str> = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            let known = NAMES.iter().find(|name| **name == key);
            let name = *known.ok_or_else(|| A::Error::unknown_field(&key, NAMES))?;
            if seen.contains(&name) {
                return Err(A::Error::duplicate_field(name));
            }
            seen.push(name);
            // Set while the value is read, so that a format that knows where the value is says so.
            let config = &mut config;
            map.next_value_seed(Set { config, name })?;
        }
        Ok(config)
    }
}

/// Reads a value into an option.
struct Set<'a> {
    config: &'a mut Config,
    name: &'static str,
}

impl<'de> DeserializeSeed<'de> for Set<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        let setting = Setting::deserialize(from)?;
        let set = self.config.set(self.name, &setting);
        set.map_err(D::Error::custom)
    }
}
