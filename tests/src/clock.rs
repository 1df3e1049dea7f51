//! The clock of a process, set from outside while it runs.

use std::fs;
use std::path::{Path, PathBuf};

/// Places where Linux distributions install the library.
const LIBRARIES: &[&str] = &[
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
];

/// A clock that differs from that of the system.
pub struct Clock(PathBuf);

impl Clock {
    /// Returns a clock that shows the real time. Its setting is a file in this folder.
    pub fn new(folder: &Path) -> Clock {
        let clock = Clock(folder.join("clock"));
        clock.set("+0");
        clock
    }

    /// Sets the offset from the real time, such as `+2h` or `-1d`.
    pub fn set(&self, offset: &str) {
        // A process that reads it meanwhile sees the old or the new one.
        let next = self.0.with_extension("next");
        fs::write(&next, format!("{offset}\n")).expect("the folder exists");
        fs::rename(next, &self.0).expect("both are in one folder");
    }

    /// Returns the environment variables that let a process follow this clock.
    pub fn environment(&self) -> [(&'static str, String); 4] {
        let mut libraries = LIBRARIES.iter();
        let library = libraries.find(|path| Path::new(path).exists());
        let library = library.expect("libfaketime is missing; `make test` says how to install it");
        [
            ("LD_PRELOAD", (*library).to_owned()),
            ("FAKETIME_TIMESTAMP_FILE", self.0.display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            // Timers continue, as they do when an administrator sets a clock.
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    }
}
