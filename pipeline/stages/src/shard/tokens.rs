use std::path::Path;

use penstock_runtime::Failure;
use tokenizers::utils::truncation::TruncationDirection;
use tokenizers::{PostProcessor, Tokenizer};

/// The embedding model's own tokenizer, without the padding and the cutting its file may ask for.
#[derive(Debug)]
pub struct Tokens {
    tokenizer: Tokenizer,
    special: usize,
}

impl Tokens {
    /// Reads `tokenizer.json` in the model's folder.
    pub fn load(dir: &Path) -> Result<Self, Failure> {
        let path = dir.join("tokenizer.json");
        let bytes = std::fs::read(&path).map_err(|error| {
            Failure::fatal(format!(
                "no embedding model in {} ({error}): run `make model`, or set `embed.model` to a folder that holds one",
                dir.display()
            ))
        })?;
        let unfit = |error| {
            Failure::fatal(format!(
                "cannot read the tokenizer {}: {error}; run `make model`, or set `embed.model` to another folder",
                path.display()
            ))
        };
        let mut tokenizer = Tokenizer::from_bytes(&bytes).map_err(unfit)?;
        tokenizer.with_truncation(None).map_err(unfit)?;
        tokenizer.with_padding(None);
        let special = tokenizer
            .get_post_processor()
            .map_or(0, |processor| processor.added_tokens(false));
        Ok(Self { tokenizer, special })
    }

    /// Tokens that every text gets besides its own, such as `[CLS]` and `[SEP]`.
    pub fn special(&self) -> usize {
        self.special
    }

    /// Tokens of a text, special ones included.
    pub fn count(&self, text: &str) -> Result<usize, Failure> {
        Ok(self.encode(text)?.get_ids().len() + self.special)
    }

    /// Token ids of a text, special ones included, at most `limit` of them: what is over is cut off before the last
    /// special ones.
    pub fn ids(&self, text: &str, limit: usize) -> Result<Vec<u32>, Failure> {
        let mut encoding = self.encode(text)?;
        let own = limit.saturating_sub(self.special);
        encoding.truncate(own, 0, TruncationDirection::Right);
        let encoding = self
            .tokenizer
            .post_process(encoding, None, true)
            .map_err(broken)?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The byte at which each token of the text starts, ascending, without the special ones.
    pub(super) fn starts(&self, text: &str) -> Result<Vec<usize>, Failure> {
        let encoding = self.tokenizer.encode(text, false).map_err(broken)?;
        let mut starts: Vec<usize> = encoding
            .get_offsets()
            .iter()
            .map(|&(start, _)| start)
            .collect();
        starts.sort_unstable();
        Ok(starts)
    }

    fn encode(&self, text: &str) -> Result<tokenizers::Encoding, Failure> {
        self.tokenizer.encode_fast(text, false).map_err(broken)
    }
}

fn broken(error: tokenizers::Error) -> Failure {
    Failure::fatal(format!(
        "the tokenizer of the embedding model fails: {error}; run `make model`, or set `embed.model` to another folder"
    ))
}
