//! What goes wrong where a server runs: full disks, clocks that jump, clients that
//! hang up or never come to the point. What was acknowledged stays, and whoever
//! behaves is served.

mod clients;
mod clock;
mod disk;
