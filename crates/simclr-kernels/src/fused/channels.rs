//! Passes over `[rows, channels]` data: batch norm and its relatives.

use pulp::Arch;
use rayon::prelude::*;

use crate::Activation;

/// Elements of a chunk: it stays in the second-level cache while it is worked on.
/// Fixed, so that sums do not depend on the number of threads.
const CHUNK: usize = 1 << 15;

/// Mean and biased variance of each channel.
#[derive(Debug, Clone, Default)]
pub(super) struct Moments {
    pub(super) mean: Vec<f32>,
    pub(super) variance: Vec<f32>,
}

struct Partial {
    count: f64,
    mean: Vec<f32>,
    squares: Vec<f32>,
}

fn chunk_len(channels: usize) -> usize {
    (CHUNK / channels).max(1) * channels
}

/// Each chunk is centred on its own mean while it is in cache; the chunks are
/// then combined in f64 (Chan, Golub and LeVeque 1983). So data far from zero
/// lose no digits, unlike with E[x²] − E[x]².
pub(super) fn moments(x: &[f32], channels: usize) -> Moments {
    let partials: Vec<Partial> = x
        .par_chunks(chunk_len(channels))
        .map(|chunk| partial(chunk, channels))
        .collect();
    let mut count = 0.0;
    let mut mean = vec![0f64; channels];
    let mut squares = vec![0f64; channels];
    for part in &partials {
        let total = count + part.count;
        for c in 0..channels {
            let delta = f64::from(part.mean[c]) - mean[c];
            mean[c] += delta * part.count / total;
            squares[c] += f64::from(part.squares[c]) + delta * delta * count * part.count / total;
        }
        count = total;
    }
    Moments {
        mean: mean.iter().map(|&m| m as f32).collect(),
        variance: squares.iter().map(|&s| (s / count) as f32).collect(),
    }
}

fn partial(chunk: &[f32], channels: usize) -> Partial {
    let mut mean = vec![0.0; channels];
    let mut squares = vec![0.0; channels];
    let rows = chunk.len() / channels;
    Arch::new().dispatch(|| {
        // Sums of distances from the first row: small numbers, whatever the mean.
        let origin = &chunk[..channels];
        for row in chunk.chunks_exact(channels) {
            for ((sum, &origin), &value) in mean.iter_mut().zip(origin).zip(row) {
                *sum += value - origin;
            }
        }
        for (sum, &origin) in mean.iter_mut().zip(origin) {
            *sum = origin + *sum / rows as f32;
        }
        for row in chunk.chunks_exact(channels) {
            for ((sum, &mean), &value) in squares.iter_mut().zip(&mean).zip(row) {
                *sum += (value - mean) * (value - mean);
            }
        }
    });
    Partial {
        count: rows as f64,
        mean,
        squares,
    }
}

/// `y = act(x scale + shift + residual)`, a scale and a shift per channel.
pub(super) fn affine(
    x: &[f32],
    scale: &[f32],
    shift: &[f32],
    residual: Option<&[f32]>,
    activation: Activation,
    y: &mut [f32],
) {
    let channels = scale.len();
    let length = chunk_len(channels);
    y.par_chunks_mut(length).enumerate().for_each(|(index, y)| {
        let at = index * length..index * length + y.len();
        let x = &x[at.clone()];
        let residual = residual.map(|residual| &residual[at]);
        let floor = match activation {
            Activation::Relu => 0.0,
            Activation::Identity => f32::NEG_INFINITY,
        };
        Arch::new().dispatch(|| affine_chunk(x, scale, shift, residual, floor, y));
    });
}

#[inline(always)]
fn affine_chunk(
    x: &[f32],
    scale: &[f32],
    shift: &[f32],
    residual: Option<&[f32]>,
    floor: f32,
    y: &mut [f32],
) {
    let channels = scale.len();
    let at_least = |value: f32| if value < floor { floor } else { value };
    match residual {
        None => {
            for (y, x) in y.chunks_exact_mut(channels).zip(x.chunks_exact(channels)) {
                for c in 0..channels {
                    y[c] = at_least(x[c] * scale[c] + shift[c]);
                }
            }
        }
        Some(residual) => {
            let rows = y.chunks_exact_mut(channels).zip(x.chunks_exact(channels));
            for ((y, x), residual) in rows.zip(residual.chunks_exact(channels)) {
                for c in 0..channels {
                    y[c] = at_least(x[c] * scale[c] + shift[c] + residual[c]);
                }
            }
        }
    }
}

/// `dy` where the activation let its input through, zero elsewhere.
#[inline(always)]
fn through(activation: Activation, y: f32, dy: f32) -> f32 {
    match activation {
        Activation::Identity => dy,
        Activation::Relu => {
            if y > 0.0 {
                dy
            } else {
                0.0
            }
        }
    }
}

/// Per channel: the sum of `g` and of `g (x − centre)`, where `g` is `dy` through
/// the activation.
pub(super) fn gradient_sums(
    x: &[f32],
    centre: &[f32],
    y: &[f32],
    dy: &[f32],
    activation: Activation,
) -> (Vec<f64>, Vec<f64>) {
    let channels = centre.len();
    let length = chunk_len(channels);
    let partials: Vec<(Vec<f32>, Vec<f32>)> = x
        .par_chunks(length)
        .zip(y.par_chunks(length))
        .zip(dy.par_chunks(length))
        .map(|((x, y), dy)| {
            let (mut plain, mut weighted) = (vec![0.0; channels], vec![0.0; channels]);
            Arch::new().dispatch(|| {
                let rows = x.chunks_exact(channels).zip(y.chunks_exact(channels));
                for ((x, y), dy) in rows.zip(dy.chunks_exact(channels)) {
                    for c in 0..channels {
                        let g = through(activation, y[c], dy[c]);
                        plain[c] += g;
                        weighted[c] += g * (x[c] - centre[c]);
                    }
                }
            });
            (plain, weighted)
        })
        .collect();
    let mut sums = (vec![0f64; channels], vec![0f64; channels]);
    for (plain, weighted) in &partials {
        for c in 0..channels {
            sums.0[c] += f64::from(plain[c]);
            sums.1[c] += f64::from(weighted[c]);
        }
    }
    sums
}

/// `dx = a g + b (x − centre) + c` per channel, and `g` itself as the residual's gradient.
pub(super) fn input_gradient(
    x: &[f32],
    y: &[f32],
    dy: &[f32],
    activation: Activation,
    [a, b, c, centre]: [&[f32]; 4],
    dx: &mut [f32],
    dresidual: Option<&mut [f32]>,
) {
    let channels = a.len();
    let length = chunk_len(channels);
    let each = |index: usize, dx: &mut [f32], dresidual: Option<&mut [f32]>| {
        let at = index * length..index * length + dx.len();
        let (x, y, dy) = (&x[at.clone()], &y[at.clone()], &dy[at]);
        Arch::new().dispatch(|| {
            let rows = x.chunks_exact(channels).zip(y.chunks_exact(channels));
            let rows = rows
                .zip(dy.chunks_exact(channels))
                .zip(dx.chunks_exact_mut(channels));
            match dresidual {
                None => {
                    for (((x, y), dy), dx) in rows {
                        for i in 0..channels {
                            let g = through(activation, y[i], dy[i]);
                            dx[i] = a[i] * g + b[i] * (x[i] - centre[i]) + c[i];
                        }
                    }
                }
                Some(dresidual) => {
                    let rows = rows.zip(dresidual.chunks_exact_mut(channels));
                    for ((((x, y), dy), dx), dresidual) in rows {
                        for i in 0..channels {
                            let g = through(activation, y[i], dy[i]);
                            dresidual[i] = g;
                            dx[i] = a[i] * g + b[i] * (x[i] - centre[i]) + c[i];
                        }
                    }
                }
            }
        });
    };
    let chunks = dx.par_chunks_mut(length).enumerate();
    match dresidual {
        None => chunks.for_each(|(index, dx)| each(index, dx, None)),
        Some(dresidual) => chunks
            .zip(dresidual.par_chunks_mut(length))
            .for_each(|((index, dx), dresidual)| each(index, dx, Some(dresidual))),
    }
}

/// `max(x, 0)`.
pub(super) fn rectify(x: &[f32], y: &mut [f32]) {
    y.par_chunks_mut(CHUNK)
        .zip(x.par_chunks(CHUNK))
        .for_each(|(y, x)| {
            Arch::new().dispatch(|| {
                for (y, &x) in y.iter_mut().zip(x) {
                    *y = if x < 0.0 { 0.0 } else { x };
                }
            });
        });
}

/// `dy` where `y` is positive.
pub(super) fn rectify_backward(y: &[f32], dy: &[f32], dx: &mut [f32]) {
    dx.par_chunks_mut(CHUNK)
        .zip(y.par_chunks(CHUNK).zip(dy.par_chunks(CHUNK)))
        .for_each(|(dx, (y, dy))| {
            Arch::new().dispatch(|| {
                for (dx, (&y, &dy)) in dx.iter_mut().zip(y.iter().zip(dy)) {
                    *dx = through(Activation::Relu, y, dy);
                }
            });
        });
}
