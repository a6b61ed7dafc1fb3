//! Tensors that are views of a storage.

/// The number of elements of the storage that a view of this shape reaches over, from its first
/// to its last; `None` if they cannot be counted.
pub(super) fn extent(shape: &[usize], strides: &[usize]) -> Option<usize> {
    if shape.contains(&0) {
        return Some(0);
    }
    let mut axes = shape.iter().zip(strides);
    let last = axes.try_fold(0usize, |last, (&size, &stride)| {
        last.checked_add((size - 1).checked_mul(stride)?)
    });
    last?.checked_add(1)
}

/// Whether the elements lie in the storage in row-major order.
pub(super) fn is_contiguous(shape: &[usize], strides: &[usize]) -> bool {
    let mut expected = 1usize;
    shape.iter().zip(strides).rev().all(|(&size, &stride)| {
        let fits = size == 1 || stride == expected;
        expected = expected.saturating_mul(size);
        fits
    })
}

/// The bytes of a view in row-major order, its elements being `width` bytes each; `None` if it
/// reaches beyond `bytes`, which are those of its extent.
pub(super) fn gather(
    bytes: &[u8],
    width: usize,
    shape: &[usize],
    strides: &[usize],
) -> Option<Vec<u8>> {
    let count: usize = shape.iter().product();
    let mut gathered = Vec::with_capacity(count * width);
    let mut index = vec![0; shape.len()];
    let mut at = 0;
    for _ in 0..count {
        gathered.extend_from_slice(bytes.get(at * width..(at + 1) * width)?);
        // The next one: the last axis fastest.
        for ((position, &size), &stride) in index.iter_mut().zip(shape).zip(strides).rev() {
            *position += 1;
            at += stride;
            if *position < size {
                break;
            }
            at -= size * stride;
            *position = 0;
        }
    }
    Some(gathered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_are_put_into_row_major_order() {
        let bytes: Vec<u8> = (0..12).collect();
        assert!(is_contiguous(&[2, 3, 2], &[6, 2, 1]));
        assert!(is_contiguous(&[2, 1, 2], &[2, 7, 1]));
        assert!(!is_contiguous(&[3, 2], &[1, 3]));
        assert_eq!(extent(&[3, 2], &[1, 3]), Some(6));
        assert_eq!(extent(&[0, 2], &[1, 3]), Some(0));
        assert_eq!(extent(&[2, 2], &[usize::MAX, 1]), None);
        let transposed = gather(&bytes, 2, &[3, 2], &[1, 3]).unwrap();
        assert_eq!(transposed, [0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11]);
        // One element for all of an axis.
        assert_eq!(gather(&bytes, 1, &[2, 2], &[0, 5]).unwrap(), [0, 5, 0, 5]);
        assert_eq!(gather(&bytes, 1, &[3], &[6]), None);
    }
}
