//! What the standard library prints, which is the message of a panic: a line in the log of
//! the host. A symbol of this name keeps libc's own out of the component, and with it all
//! imports of standard streams, which every sandbox would have to offer.

use std::ffi::{c_int, c_void};
use std::slice;

use crate::component::contract::imports::telemetry::{self, Severity};

/// Logs the text, and returns its length (POSIX `write`).
///
/// # Safety
///
/// `text` points to `length` readable bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn write(_: c_int, text: *const c_void, length: usize) -> isize {
    // SAFETY: as the caller promises. Nothing writes to the bytes meanwhile.
    let bytes = unsafe { slice::from_raw_parts(text.cast::<u8>(), length) };
    if let Ok(text) = str::from_utf8(bytes) {
        telemetry::log(Severity::Debug, text.trim(), "{}");
    }
    isize::try_from(length).expect("no slice is longer than isize::MAX")
}
