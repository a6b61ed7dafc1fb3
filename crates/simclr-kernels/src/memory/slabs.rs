//! Memory that is cut into parts, and put together again.

use std::collections::BTreeMap;

use bytes::{Buf, BytesMut};

/// Parts are multiples of a page, so that all begin at a cache line: no vector load crosses two.
const UNIT: usize = 4096;

/// Bytes of a cache line.
const LINE: usize = 64;

/// The first slab, and the largest that is not made for an even larger part.
const SLAB_SIZES: [usize; 2] = [32 << 20, 256 << 20];

/// The slab that a part belongs to, and where in it the part begins.
pub(super) type Place = (u64, usize);

/// A part of a slab, for one owner. Its bytes have any value.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) place: Place,
    pub(super) bytes: BytesMut,
}

#[derive(Debug)]
struct Slab {
    size: usize,
    in_use: usize,
    /// As far as it was ever used; the system gives memory to what is touched.
    touched: usize,
}

/// Slabs by their age, and their idle parts, no two of which are neighbours.
#[derive(Debug)]
pub(super) struct Slabs {
    slabs: BTreeMap<u64, Slab>,
    idle: BTreeMap<Place, BytesMut>,
    next: u64,
}

/// Memory on its way back to the system, which takes a while; best dropped where nobody waits.
#[derive(Debug, Default)]
#[must_use]
pub(super) struct Freed {
    /// As far as it was used.
    pub(super) size: usize,
    _slabs: Vec<BytesMut>,
}

impl Slabs {
    pub(super) const fn new() -> Self {
        Self {
            slabs: BTreeMap::new(),
            idle: BTreeMap::new(),
            next: 0,
        }
    }

    /// At least so many bytes, from the first place that is large enough: a step then finds its
    /// parts where the step before had them.
    pub(super) fn take(&mut self, size: usize) -> Part {
        let size = size.next_multiple_of(UNIT);
        let first = self.idle.iter().find(|(_, bytes)| bytes.len() >= size);
        let first = first.map(|(&place, _)| place);
        let found = first.and_then(|place| self.idle.remove_entry(&place));
        let (place, mut bytes) = found.unwrap_or_else(|| self.grow(size));
        let (id, start) = place;
        if bytes.len() > size {
            self.idle.insert((id, start + size), bytes.split_off(size));
        }
        if let Some(slab) = self.slabs.get_mut(&id) {
            slab.in_use += size;
            slab.touched = slab.touched.max(start + size);
        }
        Part { place, bytes }
    }

    /// A new slab as a single part. It doubles what is there, as far as that is sensible, so that
    /// small networks take little.
    fn grow(&mut self, part: usize) -> (Place, BytesMut) {
        let [least, most] = SLAB_SIZES;
        let size = self.size().clamp(least, most).max(2 * part);
        let bytes = zeroed(size);
        let slab = Slab {
            size,
            in_use: 0,
            touched: 0,
        };
        let id = self.next;
        self.next += 1;
        self.slabs.insert(id, slab);
        ((id, 0), bytes)
    }

    /// Takes a part back, and puts it together with its idle neighbours.
    pub(super) fn give(&mut self, part: Part) {
        let Part { place, mut bytes } = part;
        let (id, start) = place;
        if let Some(slab) = self.slabs.get_mut(&id) {
            slab.in_use -= bytes.len();
        }
        if let Some(next) = self.idle.remove(&(id, start + bytes.len())) {
            bytes.unsplit(next);
        }
        let before = self.idle.range_mut(..place).next_back();
        match before {
            Some((&(slab, first), before)) if slab == id && first + before.len() == start => {
                before.unsplit(bytes);
            }
            _ => {
                self.idle.insert(place, bytes);
            }
        }
    }

    /// Bytes of all slabs.
    fn size(&self) -> usize {
        self.slabs.values().map(|slab| slab.size).sum()
    }

    /// Bytes of the slabs that have a part in use.
    pub(super) fn size_in_use(&self) -> usize {
        let in_use = self.slabs.values().filter(|slab| slab.in_use > 0);
        in_use.map(|slab| slab.size).sum()
    }

    /// Frees slabs that are idle, the newest first, as long as so many bytes remain.
    pub(super) fn shrink_to(&mut self, size: usize) -> Freed {
        let mut remaining = self.size();
        let mut spare = Vec::new();
        for (&id, slab) in self.slabs.iter().rev() {
            if slab.in_use == 0 && remaining >= size + slab.size {
                remaining -= slab.size;
                spare.push(id);
            }
        }
        let mut freed = Freed::default();
        for id in spare {
            freed.size += self.slabs.remove(&id).map_or(0, |slab| slab.touched);
            freed._slabs.extend(self.idle.remove(&(id, 0)));
        }
        freed
    }
}

/// So many zeros, from the start of a cache line on.
pub(super) fn zeroed(size: usize) -> BytesMut {
    let mut bytes = BytesMut::zeroed(size + LINE);
    let start = bytes.as_ptr().align_offset(LINE).min(LINE);
    bytes.advance(start);
    bytes.truncate(size);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn neighbours_become_one_part_again() {
        let mut slabs = Slabs::new();
        let [first, second, third] = [10, 10, 12].map(|size| slabs.take(size * MIB));
        assert_eq!(
            [first.place, second.place, third.place].map(|(slab, _)| slab),
            [0; 3]
        );
        // Whatever the order.
        slabs.give(first);
        slabs.give(third);
        slabs.give(second);
        assert_eq!(slabs.idle.len(), 1);
        let whole = slabs.take(32 * MIB);
        assert_eq!((whole.place, whole.bytes.len()), ((0, 0), 32 * MIB));
        assert_eq!(slabs.slabs.len(), 1);
    }

    #[test]
    fn the_first_place_that_fits_is_taken() {
        let mut slabs = Slabs::new();
        let parts = [4, 8, 4, 6, 1].map(|size| slabs.take(size * MIB));
        let places = [0, 4, 12, 16, 22].map(|start| (0, start * MIB));
        assert_eq!(parts.each_ref().map(|part| part.place), places);
        let [_first, second, _third, fourth, _fifth] = parts;
        slabs.give(fourth);
        slabs.give(second);
        assert_eq!(slabs.take(6 * MIB).place, (0, 4 * MIB));
        assert_eq!(slabs.take(6 * MIB).place, (0, 16 * MIB));
        assert_eq!(slabs.take(2 * MIB).place, (0, 10 * MIB));
    }

    #[test]
    fn parts_do_not_overlap_and_keep_their_bytes() {
        let mut slabs = Slabs::new();
        let mut parts: Vec<Part> = Vec::new();
        for step in 0..200_usize {
            if step % 3 == 2 {
                let part = parts.swap_remove(step * 7 % parts.len());
                assert!(part.bytes.iter().all(|&byte| byte == part.bytes[0]));
                slabs.give(part);
            }
            let mut part = slabs.take((step * 37 % 50 + 1) * UNIT);
            assert_eq!(part.bytes.as_ptr().align_offset(LINE), 0);
            part.bytes.fill(step as u8);
            parts.push(part);
        }
        assert!(slabs.idle.len() > 1);
        parts.into_iter().for_each(|part| slabs.give(part));
        assert_eq!(
            (slabs.idle.len(), slabs.size_in_use()),
            (slabs.slabs.len(), 0)
        );
    }

    #[test]
    fn a_part_may_be_larger_than_any_slab() {
        let mut slabs = Slabs::new();
        let part = slabs.take(300 * MIB + 1);
        assert_eq!(part.bytes.len(), 300 * MIB + UNIT);
        assert_eq!(slabs.size_in_use(), 2 * (300 * MIB + UNIT));
    }

    #[test]
    fn idle_slabs_are_freed_and_others_are_not() {
        let mut slabs = Slabs::new();
        let [first, second, third] = [20, 30, 50].map(|size| slabs.take(size * MIB));
        assert_eq!(slabs.size_in_use(), (40 + 60 + 100) * MIB);
        slabs.give(second);
        slabs.give(third);
        assert_eq!(slabs.shrink_to(200 * MIB).size, 0);
        assert_eq!(
            slabs.shrink_to(101 * MIB).size,
            30 * MIB,
            "the one that may go"
        );
        assert_eq!(slabs.shrink_to(0).size, 50 * MIB, "as far as it was used");
        assert_eq!((slabs.size(), slabs.size_in_use()), (40 * MIB, 40 * MIB));
        slabs.give(first);
        assert_eq!(slabs.shrink_to(0).size, 20 * MIB);
        assert!(slabs.idle.is_empty());
    }
}
