//! Errors in a configuration, with their positions.

use std::fmt;

use crate::config::file::Position;
use crate::failure::Failure;

/// The origin of a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The default.
    #[default]
    Default,
    /// A file, with the position in it.
    File(String, Option<Position>),
    /// This environment variable.
    Environment(String),
    /// This option.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(file, Some(at)) => write!(f, "{file}:{}", at.line),
            Self::File(file, None) => f.write_str(file),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "option {name}"),
        }
    }
}

/// An error in a configuration.
#[derive(Clone, Debug)]
pub(crate) struct Mistake {
    pub(super) origin: Origin,
    /// The path of the key, for origins that can set any key; the name of a variable or
    /// option is enough by itself.
    pub(super) path: String,
    pub(super) problem: String,
}

/// All errors in a configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mistakes(pub(super) Vec<Mistake>);

impl Mistakes {
    pub(super) fn add(&mut self, origin: &Origin, path: &str, problem: impl Into<String>) {
        self.0.push(Mistake {
            origin: origin.clone(),
            path: path.to_owned(),
            problem: problem.into(),
        });
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            origin,
            path,
            problem,
        } = self;
        match origin {
            Origin::File(file, Some(at)) => write!(f, "{file}:{}:{}: ", at.line, at.column)?,
            Origin::File(file, None) => write!(f, "{file}: ")?,
            Origin::Environment(name) | Origin::Flag(name) => {
                return write!(f, "{name} {problem}");
            }
            Origin::Default => {}
        }
        match path.as_str() {
            "" => f.write_str(problem),
            path => write!(f, "{path} {problem}"),
        }
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<_> = self.0.iter().map(Mistake::to_string).collect();
        f.write_str(&all.join("\n"))
    }
}

impl From<Mistakes> for Failure {
    fn from(mistakes: Mistakes) -> Self {
        let is_flag = |mistake: &Mistake| matches!(mistake.origin, Origin::Flag(_));
        if mistakes.0.iter().all(is_flag) {
            Self::usage(mistakes)
        } else {
            Self::start(mistakes)
        }
    }
}
