//! Parsed text to chunks that fit the embedding model.

mod tokens;

pub use tokens::Tokens;
