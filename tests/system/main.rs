//! The promises of the whole program, on real documents and embedded engines.

mod changes;
mod crashes;
mod errors;
mod producer;
mod samples;
