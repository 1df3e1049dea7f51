//! End to end: what a user would notice, through the real door.

mod attacks;
mod bad_input;
mod cli;
mod clients;
mod component;
mod crash;
mod host;
mod http;
mod mail;
mod races;
mod readme;
mod sandbox;
mod secrets;
mod stdio;
