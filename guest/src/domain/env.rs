//! The environment that the rules run in.

use crate::ports::Ports;
use crate::settings::Settings;
use crate::types::time::Timestamp;

/// The capabilities of the host and the settings: all that rules need which do not depend
/// on the caller.
#[derive(Clone, Copy)]
pub struct Env<'a> {
    /// The capabilities of the host.
    pub ports: Ports<'a>,
    /// The settings in force.
    pub settings: &'a Settings,
}

impl Env<'_> {
    /// Returns the current time.
    pub fn now(&self) -> Timestamp {
        self.ports.clock.now()
    }
}
