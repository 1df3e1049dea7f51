//! Errors in a configuration, with their positions.

use std::fmt;

use super::layers::Origin;
use crate::cli::Failure;

/// An error in a configuration.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Mistake {
    pub(super) origin: Origin,
    /// The path of the key, for origins that can set any key; the name of a variable or
    /// option is enough by itself.
    pub(super) path: String,
    pub(super) problem: String,
}

/// All errors in a configuration.
#[derive(Clone, Debug, Default)]
pub(in crate::cli) struct Mistakes(pub(super) Vec<Mistake>);

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
        match mistakes.0.iter().all(is_flag) {
            true => Self::usage(mistakes),
            false => Self::start(mistakes),
        }
    }
}
