mod flow;
mod master;
mod world;
