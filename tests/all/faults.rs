//! Faults where a server runs: full disks, clocks that jump, and clients that disconnect or
//! never complete a request. Acknowledged changes stay, and well-behaved clients are
//! served.

mod clients;
mod clock;
mod disk;
