//! The whole topology on the in-memory bus, with stores and a model in memory: what must hold whatever goes wrong.
//!
//! Time is paused, so that waiting costs nothing. Parsers own threads, which paused time does not wait for: it runs
//! ahead of them, and no test may rest on how long something takes.

mod audit;
mod backpressure;
mod crash;
mod flow;
mod orphans;
mod poison;
mod rebalance;
mod replay;
mod retry;
mod settle;
mod world;
