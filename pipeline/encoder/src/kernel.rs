//! The arithmetic: matrix products, soft maximum, GELU and layer norm in plain loops over `f32`.
//!
//! Everything here is `#[inline(always)]` and generic over the shape of a register block, so that `forward` is compiled
//! once for each instruction set with all of it inside, and the compiler can use that set's widest registers.

/// Columns of a weight matrix that lie together, row after row.
pub const PANEL: usize = 32;

/// Running sums of a reduction: enough to keep every lane of the widest registers busy.
const LANES: usize = 16;

/// A matrix to read: `rows` rows of `columns` numbers, one row each `stride` numbers.
#[derive(Clone, Copy)]
pub struct View<'a> {
    pub values: &'a [f32],
    pub stride: usize,
    pub rows: usize,
    pub columns: usize,
}

impl<'a> View<'a> {
    /// All of `values`, in rows of `columns`.
    pub fn whole(values: &'a [f32], columns: usize) -> Self {
        Self {
            values,
            stride: columns,
            rows: values.len() / columns.max(1),
            columns,
        }
    }
}

/// A matrix on the right of a product, packed in panels of `PANEL` columns; the last one is filled up with zeros.
#[derive(Clone, Copy)]
pub struct Panels<'a> {
    pub values: &'a [[f32; PANEL]],
    pub rows: usize,
    pub columns: usize,
    /// Added to each row of the product, as many numbers as the panels have columns; or empty.
    pub bias: &'a [[f32; PANEL]],
}

/// `out = left × right + bias`, in rows of `out_stride`. Each element is summed in the same order however many rows
/// there are, so a text's vector does not depend on what else is in the batch.
#[inline(always)]
pub fn product<const ROWS: usize, const COLUMNS: usize, const FMA: bool>(
    left: View,
    right: Panels,
    out: &mut [f32],
    out_stride: usize,
) {
    let terms = left.columns;
    let height = if left.rows < ROWS { 1 } else { ROWS };
    for (number, panel) in right.values.chunks_exact(right.rows.max(1)).enumerate() {
        let bias = right.bias.get(number).unwrap_or(&[0.0; PANEL]);
        let width = PANEL.min(right.columns - number * PANEL);
        for row in (0..left.rows).step_by(height) {
            // The last block ends at the last row, and does again what the one before it has done.
            let row = row.min(left.rows - height);
            let from = &left.values[row * left.stride..];
            let to = &mut out[row * out_stride + number * PANEL..];
            for first in (0..width).step_by(COLUMNS) {
                let to = &mut to[first..];
                let mut start = [0.0; COLUMNS];
                start.copy_from_slice(&bias[first..first + COLUMNS]);
                if height == ROWS {
                    let sums = block::<ROWS, COLUMNS, FMA>(from, left.stride, terms, panel, first);
                    store(&sums, &start, to, out_stride, width - first);
                } else {
                    let sums = block::<1, COLUMNS, FMA>(from, left.stride, terms, panel, first);
                    store(&sums, &start, to, out_stride, width - first);
                }
            }
        }
    }
}

/// One block of the product, held in registers from the first to the last term.
#[inline(always)]
fn block<const ROWS: usize, const COLUMNS: usize, const FMA: bool>(
    left: &[f32],
    stride: usize,
    terms: usize,
    panel: &[[f32; PANEL]],
    first: usize,
) -> [[f32; COLUMNS]; ROWS] {
    // Zeros and loops of fixed size, and no index that may panic within: anything else keeps the compiler from holding
    // the sums in registers, and costs a factor of thirty.
    let mut sums = [[0.0; COLUMNS]; ROWS];
    let rows: [&[f32]; ROWS] = std::array::from_fn(|row| &left[row * stride..row * stride + terms]);
    for (term, weights) in panel.iter().enumerate().take(terms) {
        let Some(weights) = weights[first..].first_chunk::<COLUMNS>() else {
            break;
        };
        for row in 0..ROWS {
            let factor = *rows[row].get(term).unwrap_or(&0.0);
            for column in 0..COLUMNS {
                sums[row][column] = fused::<FMA>(factor, weights[column], sums[row][column]);
            }
        }
    }
    sums
}

/// Writes a block, or as many columns of it as there are.
#[inline(always)]
fn store<const ROWS: usize, const COLUMNS: usize>(
    sums: &[[f32; COLUMNS]; ROWS],
    bias: &[f32; COLUMNS],
    out: &mut [f32],
    stride: usize,
    columns: usize,
) {
    for (row, sums) in sums.iter().enumerate() {
        let out = &mut out[row * stride..];
        if let Some(out) = out.first_chunk_mut::<COLUMNS>()
            && columns >= COLUMNS
        {
            for column in 0..COLUMNS {
                out[column] = sums[column] + bias[column];
            }
        } else {
            for ((out, sum), bias) in out.iter_mut().zip(sums).zip(bias).take(columns) {
                *out = sum + bias;
            }
        }
    }
}

/// `a × b + c`, in one instruction where there is one: without it, the fused form is a slow library call.
#[inline(always)]
fn fused<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// eˣ for x ≤ 0, to 1e-7; below -87 it stays at e⁻⁸⁷. A NaN stays one.
#[inline(always)]
fn exp<const FMA: bool>(x: f32) -> f32 {
    // Adding this number rounds to a whole number, and leaves it in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let x = if x < -87.0 { -87.0 } else { x };
    let shifted = fused::<FMA>(x, std::f32::consts::LOG2_E, ROUND);
    let whole = shifted - ROUND;
    // The natural logarithm of two in two pieces, so that nothing is lost in the difference.
    let rest = fused::<FMA>(whole, 2.121_944_4e-4, fused::<FMA>(whole, -0.693_359_4, x));
    let mut sum = 1.987_569_1e-4;
    for coefficient in [1.398_2e-3, 8.333_452e-3, 4.166_58e-2, 1.666_666_5e-1, 0.5] {
        sum = fused::<FMA>(sum, rest, coefficient);
    }
    let fraction = fused::<FMA>(sum * rest, rest, rest) + 1.0;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3F80_0000));
    fraction * power
}

/// x·Φ(x), the Gaussian error linear unit, to 3e-7 (error function after Abramowitz and Stegun 7.1.26).
#[inline(always)]
pub fn gelu<const FMA: bool>(values: &mut [f32]) {
    for x in values {
        let size = x.abs();
        let z = size * std::f32::consts::FRAC_1_SQRT_2;
        let t = 1.0 / fused::<FMA>(0.327_591_1, z, 1.0);
        let mut tail = 1.061_405_4;
        for coefficient in [-1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6] {
            tail = fused::<FMA>(tail, t, coefficient);
        }
        let tail = tail * t * exp::<FMA>(-z * z);
        let positive = if *x < 0.0 { 0.0 } else { *x };
        *x = positive - 0.5 * size * tail;
    }
}

/// Makes a row positive, with sum 1.
#[inline(always)]
pub fn softmax<const FMA: bool>(row: &mut [f32]) {
    let mut peaks = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for (peak, &value) in peaks.iter_mut().zip(chunk) {
            *peak = if value > *peak { value } else { *peak };
        }
    }
    let peak = peaks
        .iter()
        .chain(rest)
        .fold(f32::NEG_INFINITY, |peak, &value| peak.max(value));
    for value in &mut *row {
        *value = exp::<FMA>(*value - peak);
    }
    let share = 1.0 / sum(row, |value| value);
    for value in row {
        *value *= share;
    }
}

/// Adds `other` to each row, then centres it, scales it to variance 1, and applies `weight` and `bias`.
#[inline(always)]
pub fn add_norm(values: &mut [f32], other: &[f32], weight: &[f32], bias: &[f32], epsilon: f32) {
    let width = weight.len().max(1);
    for (row, other) in values
        .chunks_exact_mut(width)
        .zip(other.chunks_exact(width))
    {
        for (value, &other) in row.iter_mut().zip(other) {
            *value += other;
        }
        norm(row, weight, bias, epsilon);
    }
}

/// Layer norm of one row.
#[inline(always)]
pub fn norm(row: &mut [f32], weight: &[f32], bias: &[f32], epsilon: f32) {
    let count = row.len().max(1) as f32;
    let mean = sum(row, |value| value) / count;
    let variance = sum(row, |value| (value - mean) * (value - mean)) / count;
    let scale = 1.0 / (variance + epsilon).sqrt();
    for ((value, &weight), &bias) in row.iter_mut().zip(weight).zip(bias) {
        *value = (*value - mean) * scale * weight + bias;
    }
}

/// Sum of `of` over the values, in several running sums: one alone would have to be added up in order.
#[inline(always)]
pub fn sum(values: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    let mut sums = [0.0; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for (sum, &value) in sums.iter_mut().zip(chunk) {
            *sum += of(value);
        }
    }
    let rest: f32 = rest.iter().map(|&value| of(value)).sum();
    sums.iter().sum::<f32>() + rest
}

/// Packs `columns` columns of a matrix given by `at(row, column)` for the right side of a product.
#[inline(always)]
pub fn pack(
    rows: usize,
    columns: usize,
    at: impl Fn(usize, usize) -> f32,
    panels: &mut Vec<[f32; PANEL]>,
) {
    panels.clear();
    panels.reserve(rows * columns.div_ceil(PANEL));
    for first in (0..columns).step_by(PANEL) {
        let width = PANEL.min(columns - first);
        for row in 0..rows {
            let mut line = [0.0; PANEL];
            for (column, value) in line.iter_mut().enumerate().take(width) {
                *value = at(row, first + column);
            }
            panels.push(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The complementary error function by its continued fraction or series, in double precision.
    fn erf(x: f64) -> f64 {
        let mut term = x;
        let mut sum = x;
        for n in 1..200 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * 2.0 / std::f64::consts::PI.sqrt()
    }

    fn numbers(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        (0..count)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / (1 << 24) as f32 - 0.5
            })
            .collect()
    }

    #[test]
    fn gelu_is_within_a_millionth() {
        for step in -500..=500 {
            let x = step as f32 / 100.0;
            let expect = f64::from(x) * 0.5 * (1.0 + erf(f64::from(x) / 2f64.sqrt()));
            for (fused, value) in [(true, &mut [x]), (false, &mut [x])] {
                if fused {
                    gelu::<true>(value);
                } else {
                    gelu::<false>(value);
                }
                assert!(
                    (f64::from(value[0]) - expect).abs() < 1e-6,
                    "gelu({x}) = {} instead of {expect}",
                    value[0]
                );
            }
        }
    }

    #[test]
    fn exp_is_close_and_keeps_nan() {
        for step in 0..=8600 {
            let x = -step as f32 / 100.0;
            let (expect, got) = (f64::from(x).exp(), f64::from(exp::<true>(x)));
            assert!(((got - expect) / expect).abs() < 3e-7, "exp({x}) = {got}");
        }
        assert!(exp::<true>(-1e30) < 1e-37);
        assert!(exp::<true>(f32::NAN).is_nan());
        assert!(exp::<false>(f32::NAN).is_nan());
    }

    #[test]
    fn products_agree_with_the_definition() {
        fn check(rows: usize, terms: usize, columns: usize) {
            let left = numbers(rows * terms, 1);
            let right = numbers(terms * columns, 2);
            let mut panels = Vec::new();
            pack(terms, columns, |r, c| right[r * columns + c], &mut panels);
            let bias: Vec<[f32; PANEL]> = vec![[0.25; PANEL]; columns.div_ceil(PANEL)];
            let view = View {
                values: &left,
                stride: terms,
                rows,
                columns: terms,
            };
            let panels = Panels {
                values: &panels,
                rows: terms,
                columns,
                bias: &bias,
            };
            let mut wide = vec![9.0; rows * columns];
            let mut narrow = wide.clone();
            product::<10, 32, true>(view, panels, &mut wide, columns);
            product::<2, 16, false>(view, panels, &mut narrow, columns);
            for row in 0..rows {
                for column in 0..columns {
                    let expect: f32 = (0..terms)
                        .map(|t| left[row * terms + t] * right[t * columns + column])
                        .sum::<f32>()
                        + 0.25;
                    for got in [wide[row * columns + column], narrow[row * columns + column]] {
                        assert!(
                            (got - expect).abs() < 1e-4,
                            "{rows}x{terms}x{columns} at {row}, {column}: {got} instead of {expect}"
                        );
                    }
                }
            }
        }
        for (rows, terms, columns) in [
            (1, 1, 1),
            (7, 5, 33),
            (8, 32, 64),
            (15, 48, 40),
            (33, 64, 7),
        ] {
            check(rows, terms, columns);
        }
    }

    #[test]
    fn softmax_and_norm_do_what_they_say() {
        let mut row = numbers(41, 3);
        let before = row.clone();
        softmax::<true>(&mut row);
        let total: f32 = before.iter().map(|x| x.exp()).sum();
        for (got, x) in row.iter().zip(&before) {
            assert!((got - x.exp() / total).abs() < 1e-6);
        }

        let mut row = numbers(384, 4);
        norm(&mut row, &[2.0; 384], &[1.0; 384], 1e-12);
        let mean: f32 = row.iter().sum::<f32>() / 384.0;
        let variance: f32 = row.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / 384.0;
        assert!((mean - 1.0).abs() < 1e-5 && (variance - 4.0).abs() < 1e-4);
    }
}
