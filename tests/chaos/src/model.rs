//! A model that costs little: the real one's tokenizer and the vectors of its words, without a single layer. What it
//! makes of a text is always the same.

use std::path::Path;

use penstock::config::Config;
use serde_json::{Map, Value};

use crate::Failed;

const KEPT: &str = "embeddings.";
const WEIGHTS: &str = "model.safetensors";

/// Makes it in `folder`, from the model that `make model` fetched.
pub fn make(folder: &Path) -> Result<(), Failed> {
    let real = Config::default().model_dir();
    let missing = |error: std::io::Error| {
        Failed(format!(
            "model {}: {error}: run `make model`",
            real.display()
        ))
    };
    copy(&real, folder).map_err(missing)?;
    let path = folder.join("config.json");
    let text = std::fs::read_to_string(&path).map_err(missing)?;
    let mut config: Map<String, Value> = serde_json::from_str(&text)
        .map_err(|error| Failed(format!("{}: {error}", path.display())))?;
    config.insert("num_hidden_layers".to_owned(), 0.into());
    std::fs::write(&path, Value::Object(config).to_string()).map_err(missing)?;
    let weights = std::fs::read(real.join(WEIGHTS)).map_err(missing)?;
    let kept = kept(&weights)
        .ok_or_else(|| Failed(format!("{}: {WEIGHTS} is damaged", real.display())))?;
    std::fs::write(folder.join(WEIGHTS), kept).map_err(missing)
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let path = entry?.path();
        let target = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy(&path, &target)?;
        } else if !target.ends_with(WEIGHTS) {
            std::fs::copy(&path, target)?;
        }
    }
    Ok(())
}

/// The tensors that are kept, in safetensors' layout: a length (u64), that many bytes of JSON, the data.
fn kept(weights: &[u8]) -> Option<Vec<u8>> {
    let (length, rest) = weights.split_first_chunk::<8>()?;
    let (header, data) = rest.split_at_checked(u64::from_le_bytes(*length) as usize)?;
    let header: Map<String, Value> = serde_json::from_slice(header).ok()?;
    let mut kept = Map::new();
    let mut bytes = Vec::new();
    for (name, mut tensor) in header {
        if !name.contains(KEPT) {
            continue;
        }
        let offsets = tensor.get("data_offsets")?.as_array()?;
        let place = |at: usize| offsets.get(at)?.as_u64().map(|it| it as usize);
        let start = bytes.len();
        bytes.extend_from_slice(data.get(place(0)?..place(1)?)?);
        *tensor.get_mut("data_offsets")? = vec![start, bytes.len()].into();
        kept.insert(name, tensor);
    }
    let mut header = Value::Object(kept).to_string();
    // Tensors begin at a multiple of eight.
    header += &" ".repeat(header.len().next_multiple_of(8) - header.len());
    let mut out = (header.len() as u64).to_le_bytes().to_vec();
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(&bytes);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_are_kept() {
        let header = r#"{"a.layer":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},
            "embeddings.words":{"dtype":"U8","shape":[3],"data_offsets":[2,5]}}"#;
        let mut weights = (header.len() as u64).to_le_bytes().to_vec();
        weights.extend_from_slice(header.as_bytes());
        weights.extend_from_slice(b"xxabc");
        let kept = kept(&weights).unwrap();
        let text = String::from_utf8_lossy(&kept).into_owned();
        assert!(!text.contains("layer"), "{text}");
        assert!(text.contains("\"data_offsets\":[0,3]"), "{text}");
        assert!(kept.ends_with(b"abc"));
        assert_eq!((kept.len() - 3) % 8, 0);
        assert_eq!(super::kept(&weights[..20]), None);
    }
}
