mod flow;
mod world;
