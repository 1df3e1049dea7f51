//! The MCP client that waits for a response, through the import `client`.

use super::Host;
use crate::component::contract::imports::client;
use crate::ports::{Client, LogLevel};

impl Client for Host {
    fn notify(&self, notification: &str) {
        client::notify(notification);
    }

    fn started(&self, id: &str) {
        client::started(id);
    }

    fn cancel(&self, id: &str) {
        client::cancel(id);
    }

    fn log_level(&self) -> Option<LogLevel> {
        client::get_log_level().map(|level| match level {
            client::LogLevel::Debug => LogLevel::Debug,
            client::LogLevel::Info => LogLevel::Info,
            client::LogLevel::Notice => LogLevel::Notice,
            client::LogLevel::Warning => LogLevel::Warning,
            client::LogLevel::Error => LogLevel::Error,
            client::LogLevel::Critical => LogLevel::Critical,
            client::LogLevel::Alert => LogLevel::Alert,
            client::LogLevel::Emergency => LogLevel::Emergency,
        })
    }

    fn set_log_level(&self, level: LogLevel) {
        client::set_log_level(match level {
            LogLevel::Debug => client::LogLevel::Debug,
            LogLevel::Info => client::LogLevel::Info,
            LogLevel::Notice => client::LogLevel::Notice,
            LogLevel::Warning => client::LogLevel::Warning,
            LogLevel::Error => client::LogLevel::Error,
            LogLevel::Critical => client::LogLevel::Critical,
            LogLevel::Alert => client::LogLevel::Alert,
            LogLevel::Emergency => client::LogLevel::Emergency,
        });
    }
}
