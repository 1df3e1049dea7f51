//! The labels with which the component names keys.

/// Maximum length of a label, which names the purpose of a key.
const MAX_BYTES: usize = 512;
/// Labels that begin with this name keys of the host itself.
const RESERVED_PREFIX: &str = "host/";

/// The label of a key that the component may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Label<'a>(&'a str);

/// Reasons to reject a label.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LabelError {
    #[error("a label has {bytes} bytes; at most {MAX_BYTES} are allowed")]
    TooLong { bytes: usize },
    #[error(
        "the label {0:?} is reserved for the host; expected one that does not begin with \"{RESERVED_PREFIX}\""
    )]
    Reserved(String),
}

impl<'a> Label<'a> {
    pub(crate) fn parse(text: &'a str) -> Result<Self, LabelError> {
        if text.len() > MAX_BYTES {
            return Err(LabelError::TooLong { bytes: text.len() });
        }
        if text.starts_with(RESERVED_PREFIX) {
            return Err(LabelError::Reserved(text.to_owned()));
        }
        Ok(Self(text))
    }

    pub(crate) const fn as_str(self) -> &'a str {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_the_host_and_long_ones_are_rejected() {
        let longest = "x".repeat(MAX_BYTES);
        for good in ["", "x", "host", "a host/label", &longest] {
            assert_eq!(Label::parse(good).unwrap().as_str(), good);
        }
        for reserved in ["host/", "host/root-key", "host/backup"] {
            let error = Label::parse(reserved).unwrap_err();
            assert_eq!(error, LabelError::Reserved(reserved.to_owned()));
        }
        let bytes = MAX_BYTES + 1;
        let error = Label::parse(&"x".repeat(bytes)).unwrap_err();
        assert_eq!(error, LabelError::TooLong { bytes });
    }
}
