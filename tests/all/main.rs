//! End to end: what a user would notice, through the real door.

mod attacks;
mod audit_chain;
mod bad_input;
mod cli;
mod clients;
mod component;
mod crash;
mod guards;
mod histories;
mod host;
mod http;
mod import;
mod mail;
mod races;
mod readme;
mod sandbox;
mod secrets;
mod stdio;
