//! The binary arithmetic decoder of ITU-T T.81, annex D.

/// What has been learnt of a binary decision: an index of [`STATES`], and in the highest
/// bit the more probable value.
pub(super) type Bin = u8;

/// A decision whose values are equally probable, which never learns.
pub(super) const FIXED: Bin = 113;

pub(super) struct Coder<'e> {
    /// The bytes to come; behind the last one there are zeros.
    bytes: std::slice::Iter<'e, u8>,
    /// The code register: the upper half is compared with the interval, the next byte's
    /// bits come from below.
    code: u32,
    interval: u32,
    /// Shifts until the next byte is needed.
    shifts: u32,
}

impl<'e> Coder<'e> {
    pub(super) fn new(bytes: &'e [u8]) -> Self {
        let mut coder = Self {
            bytes: bytes.iter(),
            code: 0,
            interval: 0x1_0000,
            shifts: 0,
        };
        for _ in 0..2 {
            coder.add_byte();
            coder.code <<= 8;
        }
        coder
    }

    fn add_byte(&mut self) {
        self.code += u32::from(self.bytes.next().copied().unwrap_or(0)) << 8;
    }

    /// The next binary decision.
    #[inline]
    pub(super) fn decide(&mut self, bin: &mut Bin) -> bool {
        let likely = *bin >> 7;
        let state = STATES[usize::from(*bin & 127)];
        let estimate = u32::from(state.estimate);
        self.interval -= estimate;
        // The less probable value has the upper end of the interval, and in rare cases the
        // larger part of it; then the two are exchanged.
        let upper = self.code >> 16 >= self.interval;
        if !upper && self.interval >= 0x8000 {
            return likely == 1;
        }
        let exchanged = self.interval < estimate;
        if upper {
            self.code -= self.interval << 16;
            self.interval = estimate;
        }
        let value = if upper == exchanged {
            *bin = likely << 7 | state.after_likely;
            likely
        } else {
            let switched = likely ^ u8::from(state.switches);
            *bin = switched << 7 | state.after_unlikely;
            likely ^ 1
        };
        while self.interval < 0x8000 {
            if self.shifts == 0 {
                self.add_byte();
                self.shifts = 8;
            }
            self.interval <<= 1;
            self.code <<= 1;
            self.shifts -= 1;
        }
        value == 1
    }
}

/// A state of the probability estimation.
#[derive(Clone, Copy)]
struct State {
    /// The probability of the less probable value.
    estimate: u16,
    after_unlikely: u8,
    after_likely: u8,
    /// Whether the values exchange their roles after the less probable one.
    switches: bool,
}

const fn state(estimate: u16, after_unlikely: u8, after_likely: u8, switches: u8) -> State {
    State {
        estimate,
        after_unlikely,
        after_likely,
        switches: switches == 1,
    }
}

/// Table D.3 of the standard, and the state of [`FIXED`]. Indices have seven bits, so the
/// table is filled up.
#[rustfmt::skip]
const STATES: [State; 128] = {
    let mut states = [state(0x5A1D, 113, 113, 0); 128];
    let table = [
        (0x5A1D, 1, 1, 1), (0x2586, 14, 2, 0), (0x1114, 16, 3, 0), (0x080B, 18, 4, 0),
        (0x03D8, 20, 5, 0), (0x01DA, 23, 6, 0), (0x00E5, 25, 7, 0), (0x006F, 28, 8, 0),
        (0x0036, 30, 9, 0), (0x001A, 33, 10, 0), (0x000D, 35, 11, 0), (0x0006, 9, 12, 0),
        (0x0003, 10, 13, 0), (0x0001, 12, 13, 0), (0x5A7F, 15, 15, 1), (0x3F25, 36, 16, 0),
        (0x2CF2, 38, 17, 0), (0x207C, 39, 18, 0), (0x17B9, 40, 19, 0), (0x1182, 42, 20, 0),
        (0x0CEF, 43, 21, 0), (0x09A1, 45, 22, 0), (0x072F, 46, 23, 0), (0x055C, 48, 24, 0),
        (0x0406, 49, 25, 0), (0x0303, 51, 26, 0), (0x0240, 52, 27, 0), (0x01B1, 54, 28, 0),
        (0x0144, 56, 29, 0), (0x00F5, 57, 30, 0), (0x00B7, 59, 31, 0), (0x008A, 60, 32, 0),
        (0x0068, 62, 33, 0), (0x004E, 63, 34, 0), (0x003B, 32, 35, 0), (0x002C, 33, 9, 0),
        (0x5AE1, 37, 37, 1), (0x484C, 64, 38, 0), (0x3A0D, 65, 39, 0), (0x2EF1, 67, 40, 0),
        (0x261F, 68, 41, 0), (0x1F33, 69, 42, 0), (0x19A8, 70, 43, 0), (0x1518, 72, 44, 0),
        (0x1177, 73, 45, 0), (0x0E74, 74, 46, 0), (0x0BFB, 75, 47, 0), (0x09F8, 77, 48, 0),
        (0x0861, 78, 49, 0), (0x0706, 79, 50, 0), (0x05CD, 48, 51, 0), (0x04DE, 50, 52, 0),
        (0x040F, 50, 53, 0), (0x0363, 51, 54, 0), (0x02D4, 52, 55, 0), (0x025C, 53, 56, 0),
        (0x01F8, 54, 57, 0), (0x01A4, 55, 58, 0), (0x0160, 56, 59, 0), (0x0125, 57, 60, 0),
        (0x00F6, 58, 61, 0), (0x00CB, 59, 62, 0), (0x00AB, 61, 63, 0), (0x008F, 61, 32, 0),
        (0x5B12, 65, 65, 1), (0x4D04, 80, 66, 0), (0x412C, 81, 67, 0), (0x37D8, 82, 68, 0),
        (0x2FE8, 83, 69, 0), (0x293C, 84, 70, 0), (0x2379, 86, 71, 0), (0x1EDF, 87, 72, 0),
        (0x1AA9, 87, 73, 0), (0x174E, 72, 74, 0), (0x1424, 72, 75, 0), (0x119C, 74, 76, 0),
        (0x0F6B, 74, 77, 0), (0x0D51, 75, 78, 0), (0x0BB6, 77, 79, 0), (0x0A40, 77, 48, 0),
        (0x5832, 80, 81, 1), (0x4D1C, 88, 82, 0), (0x438E, 89, 83, 0), (0x3BDD, 90, 84, 0),
        (0x34EE, 91, 85, 0), (0x2EAE, 92, 86, 0), (0x299A, 93, 87, 0), (0x2516, 86, 71, 0),
        (0x5570, 88, 89, 1), (0x4CA9, 95, 90, 0), (0x44D9, 96, 91, 0), (0x3E22, 97, 92, 0),
        (0x3824, 99, 93, 0), (0x32B4, 99, 94, 0), (0x2E17, 93, 86, 0), (0x56A8, 95, 96, 1),
        (0x4F46, 101, 97, 0), (0x47E5, 102, 98, 0), (0x41CF, 103, 99, 0), (0x3C3D, 104, 100, 0),
        (0x375E, 99, 93, 0), (0x5231, 105, 102, 0), (0x4C0F, 106, 103, 0), (0x4639, 107, 104, 0),
        (0x415E, 103, 99, 0), (0x5627, 105, 106, 1), (0x50E7, 108, 107, 0), (0x4B85, 109, 103, 0),
        (0x5597, 110, 109, 0), (0x504F, 111, 107, 0), (0x5A10, 110, 111, 1), (0x5522, 112, 109, 0),
        (0x59EB, 112, 111, 1),
    ];
    let mut index = 0;
    while index < table.len() {
        let (estimate, after_unlikely, after_likely, switches) = table[index];
        states[index] = state(estimate, after_unlikely, after_likely, switches);
        index += 1;
    }
    states
};
