//! Token ids to vectors with a model of the BERT family, on this machine's processor: a forward pass over several texts
//! at once. Rows of all texts are packed one after the other, so there is no padding and no mask; only attention looks at
//! each text alone.
//!
//! A crate of its own, because its plain loops need full optimisation, which would cost everything around it minutes of
//! compiling.

mod kernel;
mod weights;

use kernel::{PANEL, Panels, View, add_norm, gelu, norm, pack, product, softmax, sum};

pub use weights::{Encoder, Layer, Linear, Norm, Pooling};

/// The instruction set a pass is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Processor {
    Avx512,
    Avx2,
    Portable,
}

impl Processor {
    /// The best that this machine has.
    pub fn detect() -> Self {
        [Self::Avx512, Self::Avx2]
            .into_iter()
            .find(|processor| processor.is_here())
            .unwrap_or(Self::Portable)
    }

    fn is_here(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("fma")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx512 | Self::Avx2 => false,
            Self::Portable => true,
        }
    }
}

/// Buffers of one thread, reused from pass to pass.
#[derive(Default)]
pub struct Work {
    hidden: Vec<f32>,
    attention: Vec<f32>,
    context: Vec<f32>,
    projected: Vec<f32>,
    inner: Vec<f32>,
    scores: Vec<f32>,
    keys: Vec<[f32; PANEL]>,
    values: Vec<[f32; PANEL]>,
}

/// One vector per text, in order, pooled and of unit length. A text is its token ids, at most as many as the model has
/// positions. What cannot be scaled to unit length comes back as it is, for the caller to refuse. A processor that is not
/// here is taken for a portable one.
pub fn forward(
    processor: Processor,
    encoder: &Encoder,
    texts: &[&[u32]],
    work: &mut Work,
) -> Vec<Vec<f32>> {
    match processor {
        #[cfg(target_arch = "x86_64")]
        #[expect(
            unsafe_code,
            reason = "calling a function compiled for an instruction set that was found on this processor"
        )]
        // SAFETY: `is_here` has seen every feature the function is compiled for.
        Processor::Avx512 if processor.is_here() => unsafe { forward_avx512(encoder, texts, work) },
        #[cfg(target_arch = "x86_64")]
        #[expect(unsafe_code, reason = "as above")]
        // SAFETY: as above.
        Processor::Avx2 if processor.is_here() => unsafe { forward_avx2(encoder, texts, work) },
        _ => forward_portable(encoder, texts, work),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx2,fma")]
fn forward_avx512(encoder: &Encoder, texts: &[&[u32]], work: &mut Work) -> Vec<Vec<f32>> {
    pass::<10, 32, true>(encoder, texts, work)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn forward_avx2(encoder: &Encoder, texts: &[&[u32]], work: &mut Work) -> Vec<Vec<f32>> {
    pass::<6, 16, true>(encoder, texts, work)
}

fn forward_portable(encoder: &Encoder, texts: &[&[u32]], work: &mut Work) -> Vec<Vec<f32>> {
    // Every 64-bit ARM processor has the fused instruction.
    pass::<2, 16, { cfg!(target_arch = "aarch64") }>(encoder, texts, work)
}

#[inline(always)]
fn pass<const ROWS: usize, const COLUMNS: usize, const FMA: bool>(
    encoder: &Encoder,
    texts: &[&[u32]],
    work: &mut Work,
) -> Vec<Vec<f32>> {
    let width = encoder.width;
    let rows: usize = texts.iter().map(|ids| ids.len()).sum();
    embed_tokens(encoder, texts, &mut work.hidden);
    work.attention.resize(rows * width * 3, 0.0);
    work.context.resize(rows * width, 0.0);
    work.projected.resize(rows * width, 0.0);
    work.inner.resize(rows * encoder.inner_width(), 0.0);

    for layer in &encoder.layers {
        product::<ROWS, COLUMNS, FMA>(
            View::whole(&work.hidden, width),
            layer.attention.panels(),
            &mut work.attention,
            width * 3,
        );
        let mut first = 0;
        for ids in texts {
            attend::<ROWS, COLUMNS, FMA>(encoder, first, ids.len(), work);
            first += ids.len();
        }
        product::<ROWS, COLUMNS, FMA>(
            View::whole(&work.context, width),
            layer.attention_out.panels(),
            &mut work.projected,
            width,
        );
        add_projected(work, &layer.attention_norm, encoder.epsilon);
        product::<ROWS, COLUMNS, FMA>(
            View::whole(&work.hidden, width),
            layer.inner.panels(),
            &mut work.inner,
            encoder.inner_width(),
        );
        gelu::<FMA>(&mut work.inner);
        product::<ROWS, COLUMNS, FMA>(
            View::whole(&work.inner, encoder.inner_width()),
            layer.outer.panels(),
            &mut work.projected,
            width,
        );
        add_projected(work, &layer.norm, encoder.epsilon);
    }
    pool(encoder, texts, &work.hidden)
}

/// What was projected, added to what is there, and normed.
#[inline(always)]
fn add_projected(work: &mut Work, after: &Norm, epsilon: f32) {
    add_norm(
        &mut work.hidden,
        &work.projected,
        &after.weight,
        &after.bias,
        epsilon,
    );
}

/// Word, position and type of every token, added up and normed.
#[inline(always)]
fn embed_tokens(encoder: &Encoder, texts: &[&[u32]], hidden: &mut Vec<f32>) {
    let width = encoder.width;
    hidden.clear();
    for ids in texts {
        for (id, place) in ids.iter().zip(encoder.positions.chunks_exact(width)) {
            let word = *id as usize * width;
            let word = &encoder.words[word..word + width];
            let start = hidden.len();
            hidden.extend(word.iter().zip(place).map(|(word, place)| word + place));
            norm(
                &mut hidden[start..],
                &encoder.norm.weight,
                &encoder.norm.bias,
                encoder.epsilon,
            );
        }
    }
}

/// Attention within the text that has `count` rows from `first` on.
#[inline(always)]
fn attend<const ROWS: usize, const COLUMNS: usize, const FMA: bool>(
    encoder: &Encoder,
    first: usize,
    count: usize,
    work: &mut Work,
) {
    let width = encoder.width;
    let head_width = width / encoder.heads;
    let stride = width * 3;
    let text = &work.attention[first * stride..(first + count) * stride];
    let context = &mut work.context[first * width..(first + count) * width];
    let padded = count.next_multiple_of(PANEL);
    work.scores.resize(count * padded, 0.0);
    for head in 0..encoder.heads {
        let start = head * head_width;
        let keys = &text[width + start..];
        let values = &text[2 * width + start..];
        pack(
            head_width,
            count,
            |feature, token| keys[token * stride + feature],
            &mut work.keys,
        );
        pack(
            count,
            head_width,
            |token, feature| values[token * stride + feature],
            &mut work.values,
        );
        let queries = View {
            values: &text[start..],
            stride,
            rows: count,
            columns: head_width,
        };
        let keys = Panels {
            values: &work.keys,
            rows: head_width,
            columns: count,
            bias: &[],
        };
        product::<ROWS, COLUMNS, FMA>(queries, keys, &mut work.scores, padded);
        for row in work.scores.chunks_exact_mut(padded) {
            softmax::<FMA>(&mut row[..count]);
        }
        let weights = View {
            values: &work.scores,
            stride: padded,
            rows: count,
            columns: count,
        };
        let values = Panels {
            values: &work.values,
            rows: count,
            columns: head_width,
            bias: &[],
        };
        product::<ROWS, COLUMNS, FMA>(weights, values, &mut context[start..], width);
    }
}

/// One vector per text, scaled to unit length.
#[inline(always)]
fn pool(encoder: &Encoder, texts: &[&[u32]], hidden: &[f32]) -> Vec<Vec<f32>> {
    let width = encoder.width;
    let mut rows = hidden.chunks_exact(width);
    let mut vectors = Vec::with_capacity(texts.len());
    for ids in texts {
        let mut vector = vec![0.0; width];
        for (number, row) in rows.by_ref().take(ids.len()).enumerate() {
            if encoder.pooling == Pooling::Cls && number > 0 {
                continue;
            }
            for (sum, value) in vector.iter_mut().zip(row) {
                *sum += value;
            }
        }
        // Dividing by the number of tokens would be undone by scaling to unit length.
        let length = sum(&vector, |value| value * value).sqrt();
        if length > 0.0 && length.is_finite() {
            for value in &mut vector {
                *value /= length;
            }
        }
        vectors.push(vector);
    }
    vectors
}
