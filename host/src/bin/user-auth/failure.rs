//! The failure that ends the program, with its exit code. Whatever can fail returns it;
//! it knows no command.

use std::fmt;

use user_auth_host::CallError;

/// The reason why the program ends without having completed its task.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: u8,
    pub(crate) message: String,
}

impl Failure {
    /// Returns the failure for invalid arguments.
    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self {
            code: 2,
            message: message.to_string(),
        }
    }

    /// Returns the failure for a call into the sandbox without a response.
    pub(crate) fn no_answer(error: CallError) -> Self {
        Self::start(format!("the component did not respond: {error}"))
    }

    /// Returns the failure of a host that cannot start or continue.
    pub(crate) fn start(message: impl fmt::Display) -> Self {
        Self {
            code: 3,
            message: message.to_string(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
