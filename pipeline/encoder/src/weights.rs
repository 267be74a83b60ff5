//! What a model has learned, packed for `kernel`.

use crate::kernel::{PANEL, Panels, pack};

/// How a text's vector is made of those of its tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// The mean over all tokens.
    Mean,
    /// The first token's.
    Cls,
}

/// Everything a forward pass needs.
pub struct Encoder {
    /// How many numbers a vector has.
    pub width: usize,
    pub pooling: Pooling,
    pub heads: usize,
    /// Of the layer norms.
    pub epsilon: f32,
    /// Vocabulary × `width`.
    pub words: Vec<f32>,
    /// Position and token type, added up: longest text × `width`.
    pub positions: Vec<f32>,
    pub norm: Norm,
    pub layers: Vec<Layer>,
}

impl Encoder {
    /// How many numbers the feed-forward part has between its two matrices.
    pub fn inner_width(&self) -> usize {
        self.layers.first().map_or(0, |layer| layer.inner.columns)
    }

    /// How many tokens the vocabulary has.
    pub fn vocabulary(&self) -> usize {
        self.words.len() / self.width.max(1)
    }
}

/// One layer: attention, then the feed-forward part, each with its norm.
pub struct Layer {
    /// Queries (already divided by the root of the head's width), keys and values side by side.
    pub attention: Linear,
    pub attention_out: Linear,
    pub attention_norm: Norm,
    pub inner: Linear,
    pub outer: Linear,
    pub norm: Norm,
}

/// A layer norm.
pub struct Norm {
    pub weight: Vec<f32>,
    pub bias: Vec<f32>,
}

/// A matrix of weights, input features down, output features across.
pub struct Linear {
    rows: usize,
    columns: usize,
    panels: Vec<[f32; PANEL]>,
    bias: Vec<[f32; PANEL]>,
}

impl Linear {
    /// From rows of `inputs` numbers, one row per output feature, as files hold them; `bias` has one number per output.
    pub fn new(weight: &[f32], bias: &[f32], inputs: usize) -> Self {
        let outputs = bias.len();
        let mut panels = Vec::new();
        pack(
            inputs,
            outputs,
            |input, output| weight[output * inputs + input],
            &mut panels,
        );
        let mut packed = Vec::new();
        pack(1, outputs, |_, output| bias[output], &mut packed);
        Self {
            rows: inputs,
            columns: outputs,
            panels,
            bias: packed,
        }
    }

    pub(crate) fn panels(&self) -> Panels<'_> {
        Panels {
            values: &self.panels,
            rows: self.rows,
            columns: self.columns,
            bias: &self.bias,
        }
    }
}
