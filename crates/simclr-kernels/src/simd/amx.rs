//! Products of bfloat16 tiles by AMX (Intel's Advanced Matrix Extensions), on Linux.
//!
//! Stable Rust has no intrinsics for tiles, hence the assembly. Tiles are configured by the
//! function that uses them and released when it ends: a worker thread that never configured its
//! own cannot meet one, and a thread that is switched away saves 8 KiB less.

pub(crate) use unit::Amx;
pub(crate) use unit::ConfiguredTiles;

#[cfg(all(target_arch = "x86_64", target_os = "linux", not(miri)))]
mod unit {
    use std::arch::asm;
    use std::arch::x86_64::{__cpuid, __cpuid_count};
    use std::marker::PhantomData;
    use std::sync::OnceLock;

    use crate::simd::tile_layout::{BLOCK, OPERAND};

    /// Proof that the processor has AMX-BF16 and the operating system lets this process use it.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) struct Amx(());

    impl Amx {
        /// Asks the processor and, once per process, the operating system.
        ///
        /// # Errors
        /// What is missing.
        pub(crate) fn detect() -> Result<Self, &'static str> {
            static DETECTED: OnceLock<Result<Amx, &'static str>> = OnceLock::new();
            *DETECTED.get_or_init(|| {
                if !has_instructions() && !is_emulated() {
                    Err("the processor has no AMX-BF16")
                } else if request_permission() {
                    Ok(Self(()))
                } else {
                    Err("the operating system does not let this process use AMX")
                }
            })
        }

        /// Configures this thread's tiles until the guard is dropped.
        pub(crate) fn configure(self) -> ConfiguredTiles {
            /// Palette 1: up to eight tiles, here of 16 rows of 64 bytes each.
            #[repr(C, align(64))]
            struct Configuration {
                palette: u8,
                start_row: u8,
                reserved: [u8; 14],
                row_bytes: [u16; 16],
                rows: [u8; 16],
            }
            static CONFIGURATION: Configuration = Configuration {
                palette: 1,
                start_row: 0,
                reserved: [0; 14],
                row_bytes: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
                rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
            };
            // SAFETY: `self` proves that the instruction exists and is allowed; it reads the 64
            // bytes of a valid configuration.
            unsafe {
                asm!(
                    "ldtilecfg [{}]",
                    in(reg) &raw const CONFIGURATION,
                    options(nostack, preserves_flags, readonly)
                );
            }
            ConfiguredTiles {
                thread: PhantomData,
            }
        }
    }

    /// Eight tiles of 16 rows of 64 bytes, which this thread has while the guard lives.
    pub(crate) struct ConfiguredTiles {
        /// Tiles belong to a thread.
        thread: PhantomData<*const ()>,
    }

    impl ConfiguredTiles {
        /// `block = Σ over products of left right`, in the layout of `tile_layout`, plus what was
        /// there if `accumulate`.
        ///
        /// Four sums of 16 x 16 stay in tiles 0 to 3 while the operands pass by in tiles 4 to 7:
        /// four loads for four products, the fewest that eight tiles allow.
        pub(crate) fn multiply<const PRODUCTS: usize>(
            &self,
            products: [(&[f32], &[f32]); PRODUCTS],
            block: &mut [f32; BLOCK],
            accumulate: bool,
        ) {
            let size = products.first().map_or(0, |(left, _)| left.len());
            let fits = |operand: &[f32]| operand.len() == size;
            assert!(size.is_multiple_of(OPERAND));
            assert!(
                products
                    .iter()
                    .all(|(left, right)| fits(left) && fits(right))
            );
            let steps = size / OPERAND;
            if steps == 0 {
                if !accumulate {
                    block.fill(0.0);
                }
                return;
            }
            let operands = products.map(|(left, right)| [left.as_ptr(), right.as_ptr()]);
            // SAFETY: the tiles are configured, since `self` exists and cannot leave its thread.
            // There is a product, whose operands have at least one step. `operands` has
            // `PRODUCTS` pairs of pointers, each to `steps` steps of 2 KiB, `block` has 32 rows of
            // 128 bytes, and nothing else is read or written.
            unsafe {
                asm!(
                    "test {accumulate}, {accumulate}",
                    "jz 3f",
                    "tileloadd tmm0, [{block} + {wide}]",
                    "tileloadd tmm1, [{block} + {wide} + 64]",
                    "tileloadd tmm2, [{block} + {wide} + 2048]",
                    "tileloadd tmm3, [{block} + {wide} + 2112]",
                    "jmp 2f",
                    "3:",
                    "tilezero tmm0",
                    "tilezero tmm1",
                    "tilezero tmm2",
                    "tilezero tmm3",
                    "2:",
                    "mov {left}, [{operands}]",
                    "mov {right}, [{operands} + 8]",
                    "mov {step}, {steps}",
                    "4:",
                    "tileloadd tmm4, [{left} + {line}]",
                    "tileloadd tmm6, [{right} + {wide}]",
                    "tileloadd tmm5, [{left} + {line} + 1024]",
                    "tdpbf16ps tmm0, tmm4, tmm6",
                    "tileloadd tmm7, [{right} + {wide} + 64]",
                    "tdpbf16ps tmm2, tmm5, tmm6",
                    "tdpbf16ps tmm1, tmm4, tmm7",
                    "tdpbf16ps tmm3, tmm5, tmm7",
                    "add {left}, 2048",
                    "add {right}, 2048",
                    "dec {step}",
                    "jnz 4b",
                    "add {operands}, 16",
                    "dec {products}",
                    "jnz 2b",
                    "tilestored [{block} + {wide}], tmm0",
                    "tilestored [{block} + {wide} + 64], tmm1",
                    "tilestored [{block} + {wide} + 2048], tmm2",
                    "tilestored [{block} + {wide} + 2112], tmm3",
                    accumulate = in(reg) usize::from(accumulate),
                    block = in(reg) block.as_mut_ptr(),
                    operands = inout(reg) operands.as_ptr() => _,
                    products = inout(reg) PRODUCTS => _,
                    left = out(reg) _,
                    right = out(reg) _,
                    step = out(reg) _,
                    line = in(reg) 64usize,
                    wide = in(reg) 128usize,
                    steps = in(reg) steps,
                    out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                    out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                    options(nostack)
                );
            }
        }
    }

    impl Drop for ConfiguredTiles {
        fn drop(&mut self) {
            // SAFETY: the tiles of this thread are configured; nothing is kept in them.
            unsafe { asm!("tilerelease", options(nostack, preserves_flags, nomem)) };
        }
    }

    /// Whether the processor has tiles and their bfloat16 products, and the operating system
    /// saves tiles when it switches threads.
    fn has_instructions() -> bool {
        const OSXSAVE: u32 = 1 << 27;
        const AMX_BF16: u32 = 1 << 22;
        const AMX_TILE: u32 = 1 << 24;
        /// Configuration and data of tiles.
        const TILE_STATE: u32 = 0b11 << 17;
        if __cpuid(0).eax < 7 || __cpuid(1).ecx & OSXSAVE == 0 {
            return false;
        }
        let state: u32;
        // SAFETY: OSXSAVE says that the instruction exists; it reads register XCR0.
        unsafe {
            asm!("xgetbv", in("ecx") 0, out("eax") state, out("edx") _, options(nostack, nomem));
        }
        let features = __cpuid_count(7, 0).edx;
        features & AMX_BF16 != 0 && features & AMX_TILE != 0 && state & TILE_STATE == TILE_STATE
    }

    /// Whether the crate's own tests run where the instructions are emulated.
    fn is_emulated() -> bool {
        cfg!(test) && std::env::var_os("AMX_EMULATED").is_some()
    }

    /// Linux gives tile data to processes that ask for them alone; all threads then have them.
    fn request_permission() -> bool {
        const ARCH_REQ_XCOMP_PERM: libc::c_ulong = 0x1023;
        const XFEATURE_XTILEDATA: libc::c_ulong = 18;
        // SAFETY: this call of the system reads and writes no memory of ours.
        let status = unsafe {
            libc::syscall(
                libc::SYS_arch_prctl,
                ARCH_REQ_XCOMP_PERM,
                XFEATURE_XTILEDATA,
            )
        };
        status == 0
    }
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux", not(miri))))]
mod unit {
    use crate::simd::tile_layout::BLOCK;

    /// There is none on this platform.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Amx {}

    /// Of no unit.
    pub(crate) struct ConfiguredTiles(Amx);

    impl Amx {
        pub(crate) fn detect() -> Result<Self, &'static str> {
            Err("AMX is used on Linux on x86-64 alone")
        }

        pub(crate) fn configure(self) -> ConfiguredTiles {
            match self {}
        }
    }

    impl ConfiguredTiles {
        pub(crate) fn multiply<const PRODUCTS: usize>(
            &self,
            _: [(&[f32], &[f32]); PRODUCTS],
            _: &mut [f32; BLOCK],
            _: bool,
        ) {
            match self.0 {}
        }
    }
}
