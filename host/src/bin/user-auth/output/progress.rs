//! Progress on a terminal.

use std::io::{self, IsTerminal as _};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::failure::Failure;

/// Returns a progress bar for this many bytes, or a spinner if the number is unknown.
/// Hidden if standard error is not a terminal.
pub(crate) fn bar(bytes: Option<u64>) -> Result<ProgressBar, Failure> {
    let target = if io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let template = match bytes {
        Some(_) => "{bar:30} {percent:>3}%  {msg}  ETA {eta}",
        None => "{spinner} {msg}",
    };
    let style = ProgressStyle::with_template(template)
        .map_err(|error| Failure::start(format!("the progress bar cannot be shown: {error}")))?;
    Ok(ProgressBar::with_draw_target(bytes, target).with_style(style))
}
