//! How operations end: one code, one name and one text for each outcome, in answers, in
//! the metrics, in the audit log and in traces. The component has the same names.

/// The kinds of errors of operations, each with the code that the contract has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    /// The request breaks a rule: invalid or missing input, or a conflict.
    Application,
    /// The credentials are wrong, invalid or expired.
    Authentication,
    /// The caller is authenticated and may not do this.
    Authorization,
    /// Too many requests or attempts.
    RateLimit,
    /// Something that the operation needs is out of order or busy.
    ResourceUnavailable,
}

impl ErrorCode {
    /// All of them, in the order of their codes.
    const ALL: [Self; 5] = [
        Self::Application,
        Self::Authentication,
        Self::Authorization,
        Self::RateLimit,
        Self::ResourceUnavailable,
    ];

    /// Returns the kind that has this code, if one has.
    pub fn of(code: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// Returns the code in the error object.
    pub const fn code(self) -> i32 {
        match self {
            Self::Application => -32000,
            Self::Authentication => -32001,
            Self::Authorization => -32002,
            Self::RateLimit => -32003,
            Self::ResourceUnavailable => -32004,
        }
    }

    /// Returns the name in logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Authentication => "authentication",
            Self::Authorization => "authorization",
            Self::RateLimit => "rate_limit",
            Self::ResourceUnavailable => "resource_unavailable",
        }
    }

    /// Returns the text of the host's own errors.
    pub(crate) const fn message(self) -> &'static str {
        match self {
            Self::Application => "The request is invalid",
            Self::Authentication => "Not authenticated",
            Self::Authorization => "Not permitted",
            Self::RateLimit => "Too many requests",
            Self::ResourceUnavailable => "The service is unavailable for the moment",
        }
    }
}

/// How an operation ended, by what the component reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Success,
    Error(ErrorCode),
    /// It failed with a code that the contract does not have.
    OtherError,
}

impl Outcome {
    pub(crate) const COUNT: usize = ErrorCode::ALL.len() + 2;

    /// Returns every outcome, each at its [`index`](Self::index).
    pub(crate) fn all() -> [Self; Self::COUNT] {
        let [a, b, c, d, e] = ErrorCode::ALL.map(Self::Error);
        [Self::Success, a, b, c, d, e, Self::OtherError]
    }

    /// Returns the outcome for the error code of an operation that has ended.
    pub(crate) fn of(code: Option<i32>) -> Self {
        match code {
            None => Self::Success,
            Some(code) => ErrorCode::of(code).map_or(Self::OtherError, Self::Error),
        }
    }

    /// Returns the name in logs and metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Error(kind) => kind.name(),
            Self::OtherError => "other",
        }
    }

    /// Returns its place among all outcomes.
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Success => 0,
            Self::Error(kind) => 1 + kind as usize,
            Self::OtherError => Self::COUNT - 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_a_name_and_an_index_of_its_own() {
        for (index, outcome) in Outcome::all().into_iter().enumerate() {
            assert_eq!(outcome.index(), index, "{outcome:?}");
            let same = Outcome::all()
                .into_iter()
                .filter(|one| one.name() == outcome.name());
            assert_eq!(same.count(), 1, "{outcome:?}");
        }
    }

    #[test]
    fn a_code_is_read_as_the_kind_that_has_it() {
        for kind in ErrorCode::ALL {
            assert_eq!(Outcome::of(Some(kind.code())), Outcome::Error(kind));
        }
        assert_eq!(Outcome::of(None), Outcome::Success);
        assert_eq!(Outcome::of(Some(7)), Outcome::OtherError);
    }
}
