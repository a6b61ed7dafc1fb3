/// Numbers of which the first is aligned to a cache line, so that no vector of a row of
/// whole lines crosses from one line into the next.
pub(crate) struct AlignedBuffer {
    values: Vec<f32>,
    start: usize,
}

/// Numbers in a cache line.
pub(crate) const CACHE_LINE: usize = 16;

impl AlignedBuffer {
    pub(crate) fn zeros(count: usize) -> Self {
        let values = vec![0.0; count + CACHE_LINE];
        let start = values.as_ptr().align_offset(CACHE_LINE * size_of::<f32>()) % CACHE_LINE;
        Self { values, start }
    }

    #[inline(always)]
    pub(crate) fn get(&self) -> &[f32] {
        &self.values[self.start..]
    }

    #[inline(always)]
    pub(crate) fn get_mut(&mut self) -> &mut [f32] {
        &mut self.values[self.start..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_begin_at_cache_lines() {
        for count in [1, 16, 1000] {
            let buffer = AlignedBuffer::zeros(count);
            assert_eq!(buffer.get().as_ptr() as usize % 64, 0);
            assert!(buffer.get().len() >= count);
        }
    }
}
