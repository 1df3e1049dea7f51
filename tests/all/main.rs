//! End to end: what a user would notice, through the real door.

mod attacks;
mod audit_chain;
mod backup;
mod bad_input;
mod cli;
mod clients;
mod component;
mod config;
mod crash;
mod faults;
mod histories;
mod host;
mod http;
mod import;
mod mail;
mod master_key;
mod postgres;
mod races;
mod readme;
mod sandbox;
mod secrets;
mod stdio;
mod tls;
