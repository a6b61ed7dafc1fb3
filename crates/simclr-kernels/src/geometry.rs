//! Where windows lie: strides, padding and output sizes.

use crate::{Error, Result};

/// Rows or columns of a map with its padding: more are a mistake, and the product of two such numbers
/// has to be a number.
const LONGEST: usize = 1 << 24;

/// How the borders of a feature map are extended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Padding {
    /// TensorFlow's `SAME`: `ceil(size / stride)` outputs; of an odd amount of
    /// padding the larger part comes after.
    Same,
    /// None: windows lie within the map.
    Valid,
    /// As many rows and columns as given.
    Explicit {
        /// Rows above.
        top: usize,
        /// Rows below.
        bottom: usize,
        /// Columns to the left.
        left: usize,
        /// Columns to the right.
        right: usize,
    },
}

impl Padding {
    /// The original's `FixedPadding` for a square kernel: `kernel - 1` in all,
    /// whatever the size of the map, `(kernel - 1) / 2` of it before.
    pub fn fixed(kernel: usize) -> Self {
        let total = kernel.saturating_sub(1);
        let before = total / 2;
        let after = total - before;
        Self::Explicit {
            top: before,
            bottom: after,
            left: before,
            right: after,
        }
    }

    fn along(self, axis: Axis, window: usize, stride: usize, size: usize) -> (usize, usize) {
        match self {
            Self::Valid => (0, 0),
            Self::Explicit {
                top,
                bottom,
                left,
                right,
            } => match axis {
                Axis::Rows => (top, bottom),
                Axis::Columns => (left, right),
            },
            Self::Same => {
                let covered = (size.div_ceil(stride).max(1) - 1).saturating_mul(stride);
                let covered = covered.saturating_add(window);
                let total = covered.saturating_sub(size);
                (total / 2, total - total / 2)
            }
        }
    }
}

/// What an average over a window at the border is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DivisorRule {
    /// The size of the window: padding counts as zeros.
    CountPadding,
    /// The number of elements within the map, as TensorFlow's `SAME` does.
    ExcludePadding,
}

#[derive(Debug, Clone, Copy)]
enum Axis {
    Rows,
    Columns,
}

/// Stride and padding of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Conv2dConfig {
    /// Rows and columns from one window to the next.
    pub stride: (usize, usize),
    /// The extension of the borders.
    pub padding: Padding,
}

impl Conv2dConfig {
    /// A convolution of stride 1 with `SAME` padding.
    pub fn same() -> Self {
        Self {
            stride: (1, 1),
            padding: Padding::Same,
        }
    }

    /// The original's convolution with a square kernel: `SAME` for stride 1,
    /// fixed padding for larger strides.
    pub fn original(kernel: usize, stride: usize) -> Self {
        let padding = if stride > 1 {
            Padding::fixed(kernel)
        } else {
            Padding::Same
        };
        Self {
            stride: (stride, stride),
            padding,
        }
    }
}

/// Windows along one axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) input: usize,
    pub(crate) window: usize,
    pub(crate) stride: usize,
    pub(crate) before: usize,
    pub(crate) after: usize,
    pub(crate) output: usize,
}

/// Windows over a feature map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Windows {
    pub(crate) rows: Span,
    pub(crate) columns: Span,
}

impl Windows {
    pub(crate) fn new(
        op: &'static str,
        (height, width): (usize, usize),
        window: (usize, usize),
        stride: (usize, usize),
        padding: Padding,
    ) -> Result<Self> {
        Ok(Self {
            rows: Span::new(op, Axis::Rows, height, window.0, stride.0, padding)?,
            columns: Span::new(op, Axis::Columns, width, window.1, stride.1, padding)?,
        })
    }

    /// A window that lies wholly in the padding has no maximum and no mean.
    pub(crate) fn check_not_all_padding(&self, op: &'static str) -> Result<()> {
        for span in [&self.rows, &self.columns] {
            if span.before >= span.window || span.after >= span.window {
                let expected = format!("padding of less than the window ({})", span.window);
                return Err(Error::shape(op, expected, (span.before, span.after)));
            }
        }
        Ok(())
    }
}

impl Span {
    /// Where an element of a window lies in the map; `None` in the padding.
    pub(crate) fn position(&self, output: usize, tap: usize) -> Option<usize> {
        let position = (output * self.stride + tap).checked_sub(self.before)?;
        (position < self.input).then_some(position)
    }

    fn new(
        op: &'static str,
        axis: Axis,
        input: usize,
        window: usize,
        stride: usize,
        padding: Padding,
    ) -> Result<Self> {
        if window == 0 || stride == 0 {
            return Err(Error::shape(
                op,
                "windows and strides of at least 1",
                (window, stride),
            ));
        }
        let (before, after) = padding.along(axis, window, stride, input);
        let padded = [before, after].into_iter().try_fold(input, |sum, pixels| {
            let padded = sum.checked_add(pixels)?;
            (padded <= LONGEST).then_some(padded)
        });
        let Some(padded) = padded else {
            let expected = format!("a padded map of at most {LONGEST} rows and columns");
            return Err(Error::shape(op, expected, (before, input, after)));
        };
        if input == 0 || padded < window {
            let expected = format!("a window of at most {padded} (the padded map)");
            return Err(Error::shape(op, expected, window));
        }
        Ok(Self {
            input,
            window,
            stride,
            before,
            after,
            output: (padded - window) / stride + 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(size: usize, window: usize, stride: usize, padding: Padding) -> Result<Windows> {
        let square = |length| (length, length);
        Windows::new(
            "test",
            square(size),
            square(window),
            square(stride),
            padding,
        )
    }

    #[test]
    fn same_pads_below_first_as_in_tensorflow() {
        for (size, expected) in [(32, (0, 1, 16)), (33, (1, 1, 17)), (49, (1, 1, 25))] {
            let rows = windows(size, 3, 2, Padding::Same).unwrap().rows;
            assert_eq!((rows.before, rows.after, rows.output), expected);
        }
    }

    #[test]
    fn fixed_padding_gives_the_recorded_sizes() {
        let cases = [
            (3, 5, 3),
            (3, 6, 3),
            (3, 7, 4),
            (3, 19, 10),
            (7, 75, 38),
            (7, 97, 49),
        ];
        for (kernel, input, output) in cases {
            let windows = windows(input, kernel, 2, Padding::fixed(kernel)).unwrap();
            assert_eq!(windows.columns.output, output, "{kernel} over {input}");
        }
    }

    #[test]
    fn a_window_larger_than_the_map_is_refused() {
        assert!(windows(2, 3, 1, Padding::Valid).is_err());
        assert!(windows(2, 1, 0, Padding::Valid).is_err());
    }
}
