mod flow;
mod group;
mod master;
mod pressure;
mod retry;
mod stop;
mod tick;
mod world;
