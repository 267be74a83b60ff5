//! A model of the BERT family as it lies in a folder: its configuration and its weights.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use penstock_encoder::{Encoder, Layer, Linear, Norm, Pooling};
use penstock_runtime::Failure;
use penstock_schemas::content_hash;
use penstock_stages::embed::ModelInfo;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A model, ready to be run.
pub struct Model {
    pub info: ModelInfo,
    pub encoder: Encoder,
}

impl Model {
    /// Reads `config.json`, `model.safetensors` and what sentence-transformers keeps beside them.
    pub fn load(dir: &Path) -> Result<Self, Failure> {
        let config: Config = read_json(dir, "config.json")?;
        config.check(dir)?;
        let bytes =
            std::fs::read(dir.join("model.safetensors")).map_err(|error| missing(dir, error))?;
        let digest = content_hash(&bytes);
        let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)
            .map_err(|error| unfit(dir, format!("cannot read model.safetensors: {error}")))?;
        drop(bytes);
        let mut weights = Weights { dir, tensors };

        let hidden = config.hidden_size;
        // RoBERTa counts positions from behind its padding token.
        let skipped = if config.model_type == "bert" {
            0
        } else {
            config.pad_token_id + 1
        };
        let places = config.max_position_embeddings.saturating_sub(skipped);
        let limit = limit(dir, places)?;

        let words = weights.take(
            "embeddings.word_embeddings.weight",
            &[config.vocab_size, hidden],
        )?;
        let all_positions = weights.take(
            "embeddings.position_embeddings.weight",
            &[config.max_position_embeddings, hidden],
        )?;
        let types = weights.take(
            "embeddings.token_type_embeddings.weight",
            &[config.type_vocab_size, hidden],
        )?;
        let mut positions = all_positions
            .get(skipped * hidden..(skipped + limit) * hidden)
            .unwrap_or_default()
            .to_vec();
        for place in positions.chunks_exact_mut(hidden) {
            for (value, of_type) in place.iter_mut().zip(&types) {
                *value += of_type;
            }
        }
        let norm = weights.norm("embeddings.LayerNorm", hidden)?;
        let mut layers = Vec::with_capacity(config.num_hidden_layers);
        for number in 0..config.num_hidden_layers {
            layers.push(weights.layer(number, &config)?);
        }
        let name = dir.file_name().map_or_else(
            || "model".to_owned(),
            |name| name.to_string_lossy().into_owned(),
        );
        let revision = digest.get(..12).unwrap_or(&digest);
        Ok(Self {
            info: ModelInfo {
                name: format!("{name}@{revision}"),
                dimension: hidden,
                max_tokens: limit,
            },
            encoder: Encoder {
                width: hidden,
                pooling: pooling(dir)?,
                heads: config.num_attention_heads,
                epsilon: config.layer_norm_eps,
                words,
                positions,
                norm,
                layers,
            },
        })
    }
}

#[derive(Deserialize)]
struct Config {
    model_type: String,
    hidden_act: String,
    hidden_size: usize,
    intermediate_size: usize,
    layer_norm_eps: f32,
    max_position_embeddings: usize,
    num_attention_heads: usize,
    num_hidden_layers: usize,
    type_vocab_size: usize,
    vocab_size: usize,
    #[serde(default)]
    pad_token_id: usize,
    position_embedding_type: Option<String>,
}

impl Config {
    /// Refuses what the forward pass would get wrong.
    fn check(&self, dir: &Path) -> Result<(), Failure> {
        if !["bert", "roberta", "xlm-roberta", "camembert"].contains(&self.model_type.as_str()) {
            return Err(unfit(
                dir,
                format!(
                    "model_type is {}, not bert, roberta, xlm-roberta or camembert",
                    self.model_type
                ),
            ));
        }
        if self.hidden_act != "gelu" {
            return Err(unfit(
                dir,
                format!("hidden_act is {}, not gelu", self.hidden_act),
            ));
        }
        if let Some(kind) = self.position_embedding_type.as_deref()
            && kind != "absolute"
        {
            return Err(unfit(
                dir,
                format!("position_embedding_type is {kind}, not absolute"),
            ));
        }
        if self.num_attention_heads == 0
            || self.hidden_size == 0
            || !self.hidden_size.is_multiple_of(self.num_attention_heads)
        {
            return Err(unfit(
                dir,
                format!(
                    "hidden_size {} does not divide by num_attention_heads {}",
                    self.hidden_size, self.num_attention_heads
                ),
            ));
        }
        Ok(())
    }
}

/// The tensors of the file, each taken out once.
struct Weights<'a> {
    dir: &'a Path,
    tensors: HashMap<String, Tensor>,
}

impl Weights<'_> {
    /// The numbers of a tensor that must have this shape. Names may carry the prefix of the architecture.
    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Failure> {
        let tensor = ["", "bert.", "roberta."]
            .iter()
            .find_map(|prefix| self.tensors.remove(&format!("{prefix}{name}")))
            .ok_or_else(|| unfit(self.dir, format!("model.safetensors has no tensor {name}")))?;
        if tensor.dims() != shape {
            return Err(unfit(
                self.dir,
                format!(
                    "tensor {name} has shape {:?}, config.json says {shape:?}",
                    tensor.dims()
                ),
            ));
        }
        tensor
            .to_dtype(DType::F32)
            .and_then(|tensor| tensor.flatten_all())
            .and_then(|tensor| tensor.to_vec1())
            .map_err(|error| unfit(self.dir, format!("cannot read tensor {name}: {error}")))
    }

    fn norm(&mut self, name: &str, width: usize) -> Result<Norm, Failure> {
        Ok(Norm {
            weight: self.take(&format!("{name}.weight"), &[width])?,
            bias: self.take(&format!("{name}.bias"), &[width])?,
        })
    }

    fn linear(&mut self, name: &str, inputs: usize, outputs: usize) -> Result<Linear, Failure> {
        let weight = self.take(&format!("{name}.weight"), &[outputs, inputs])?;
        let bias = self.take(&format!("{name}.bias"), &[outputs])?;
        Ok(Linear::new(&weight, &bias, inputs))
    }

    fn layer(&mut self, number: usize, config: &Config) -> Result<Layer, Failure> {
        let at = format!("encoder.layer.{number}");
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let scale = 1.0 / ((hidden / config.num_attention_heads) as f32).sqrt();
        let (mut weight, mut bias) = (Vec::new(), Vec::new());
        for (name, scale) in [("query", scale), ("key", 1.0), ("value", 1.0)] {
            let name = format!("{at}.attention.self.{name}");
            let values = self.take(&format!("{name}.weight"), &[hidden, hidden])?;
            weight.extend(values.into_iter().map(|value| value * scale));
            let values = self.take(&format!("{name}.bias"), &[hidden])?;
            bias.extend(values.into_iter().map(|value| value * scale));
        }
        Ok(Layer {
            attention: Linear::new(&weight, &bias, hidden),
            attention_out: self.linear(&format!("{at}.attention.output.dense"), hidden, hidden)?,
            attention_norm: self.norm(&format!("{at}.attention.output.LayerNorm"), hidden)?,
            inner: self.linear(&format!("{at}.intermediate.dense"), hidden, inner)?,
            outer: self.linear(&format!("{at}.output.dense"), inner, hidden)?,
            norm: self.norm(&format!("{at}.output.LayerNorm"), hidden)?,
        })
    }
}

/// The longest input the model was made for: the least of what its files say.
fn limit(dir: &Path, places: usize) -> Result<usize, Failure> {
    #[derive(Deserialize)]
    struct Sentence {
        max_seq_length: Option<usize>,
    }
    #[derive(Deserialize)]
    struct Tokenizing {
        // "No limit" is written as 1e30.
        model_max_length: Option<f64>,
    }
    let sentence: Option<Sentence> = read_if_there(dir, "sentence_bert_config.json")?;
    let tokenizing: Option<Tokenizing> = read_if_there(dir, "tokenizer_config.json")?;
    let stated = [
        sentence.and_then(|file| file.max_seq_length),
        tokenizing
            .and_then(|file| file.model_max_length)
            .map(|limit| limit as usize),
    ];
    let least = stated.into_iter().flatten().fold(places, usize::min);
    if least < 8 {
        return Err(unfit(
            dir,
            format!("its limit of {least} tokens is too low"),
        ));
    }
    Ok(least)
}

/// Pooling as `modules.json` and the pooling module's own file say; the mean where they are not there.
fn pooling(dir: &Path) -> Result<Pooling, Failure> {
    #[derive(Deserialize)]
    struct Module {
        #[serde(rename = "type")]
        kind: String,
        path: String,
    }
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Modes {
        pooling_mode_cls_token: bool,
        pooling_mode_mean_tokens: bool,
        pooling_mode_max_tokens: bool,
        pooling_mode_mean_sqrt_len_tokens: bool,
    }
    let modules: Option<Vec<Module>> = read_if_there(dir, "modules.json")?;
    let mut pooling = Pooling::Mean;
    for module in modules.unwrap_or_default() {
        match module.kind.rsplit('.').next().unwrap_or_default() {
            // Vectors always leave with unit length, so that a Normalize module changes nothing.
            "Transformer" | "Normalize" => {}
            "Pooling" => {
                let modes: Modes = read_json(dir, &format!("{}/config.json", module.path))?;
                pooling = match (
                    modes.pooling_mode_mean_tokens,
                    modes.pooling_mode_cls_token,
                    modes.pooling_mode_max_tokens || modes.pooling_mode_mean_sqrt_len_tokens,
                ) {
                    (true, false, false) => Pooling::Mean,
                    (false, true, false) => Pooling::Cls,
                    _ => {
                        return Err(unfit(dir, "its pooling is neither mean nor cls".to_owned()));
                    }
                };
            }
            other => {
                return Err(unfit(
                    dir,
                    format!("it has a module {other} of another kind"),
                ));
            }
        }
    }
    Ok(pooling)
}

fn read_json<T: DeserializeOwned>(dir: &Path, name: &str) -> Result<T, Failure> {
    let bytes = std::fs::read(dir.join(name)).map_err(|error| missing(dir, error))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| unfit(dir, format!("cannot read {name}: {error}")))
}

fn read_if_there<T: DeserializeOwned>(dir: &Path, name: &str) -> Result<Option<T>, Failure> {
    if dir.join(name).exists() {
        read_json(dir, name).map(Some)
    } else {
        Ok(None)
    }
}

fn missing(dir: &Path, error: std::io::Error) -> Failure {
    Failure::fatal(format!(
        "no embedding model in {} ({error}): run `make model`, or set `embed.model` to a folder that holds one",
        dir.display()
    ))
}

fn unfit(dir: &Path, reason: String) -> Failure {
    Failure::fatal(format!(
        "the embedding model in {} does not fit: {reason}; run `make model`, or set `embed.model` to another folder",
        dir.display()
    ))
}
