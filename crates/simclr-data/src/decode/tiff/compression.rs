use std::io::{self, BufRead, Read};

use flate2::bufread::ZlibDecoder;
use ruzstd::decoding::StreamingDecoder;
use weezl::BitOrder;
use weezl::decode::{Configuration, Decoder};

use super::fax::Fax;
use super::layout::compression as kind;
use super::reason::{damaged, unsupported};

/// The memory that decoders of Zstandard grant, as its reference decoder does.
const ZSTANDARD_WINDOW: u64 = 1 << 27;

/// The decompressed bytes of a strip or tile, whose rows have `width` pixels.
pub(super) fn decompress<'a>(
    compression: u64,
    mut bytes: Box<dyn BufRead + 'a>,
    width: usize,
    t4_options: u64,
) -> Result<Box<dyn Read + 'a>, String> {
    Ok(match compression {
        kind::NONE => Box::new(bytes),
        kind::LZW => {
            // The form of TIFF 5, with the other order of bits, begins with its clear code so.
            let head = bytes.fill_buf().map_err(damaged)?;
            if head.first() == Some(&0) && head.get(1).is_some_and(|byte| byte & 1 == 1) {
                return Err(unsupported("LZW with the order of bits of old writers"));
            }
            Box::new(Lzw::new(bytes))
        }
        kind::DEFLATE | kind::OLD_DEFLATE => Box::new(ZlibDecoder::new(bytes)),
        kind::PACK_BITS => Box::new(PackBits::new(bytes)),
        kind::ZSTANDARD => {
            let decoder = StreamingDecoder::new_with_max_window_size(bytes, ZSTANDARD_WINDOW);
            Box::new(decoder.map_err(damaged)?)
        }
        kind::CCITT_RLE | kind::CCITT_T4 | kind::CCITT_T6 => {
            let mut all = Vec::new();
            bytes.read_to_end(&mut all).map_err(damaged)?;
            Box::new(Fax::new(compression, t4_options, all, width))
        }
        other => return Err(unsupported(name(other))),
    })
}

/// The name of a compression that is not read.
fn name(compression: u64) -> String {
    let name = match compression {
        6 => "JPEG in the form of TIFF 6.0 (compression 6)",
        32766 | 32771 | 32809 => "a run-length code of old programs",
        33003 | 33004 | 33005 | 33007 | 34712 => "JPEG 2000",
        34661 | 34663 => "JBIG",
        34676 | 34677 => "SGI's logarithmic luminance",
        34887 => "LERC",
        34925 => "LZMA",
        50001 => "WebP",
        50002 | 52546 => "JPEG XL",
        other => return format!("compression {other}"),
    };
    format!("{name} inside of it")
}

/// LZW as TIFF has it, with or without an end code.
struct Lzw<'a> {
    decoder: Decoder,
    bytes: Box<dyn BufRead + 'a>,
}

impl<'a> Lzw<'a> {
    fn new(bytes: Box<dyn BufRead + 'a>) -> Self {
        Self {
            decoder: Configuration::with_tiff_size_switch(BitOrder::Msb, 8).build(),
            bytes,
        }
    }
}

impl Read for Lzw<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let decoded = self.decoder.decode_bytes(self.bytes.fill_buf()?, out);
            self.bytes.consume(decoded.consumed_in);
            decoded.status.map_err(io::Error::other)?;
            if decoded.consumed_out > 0 || decoded.consumed_in == 0 {
                return Ok(decoded.consumed_out);
            }
        }
    }
}

/// Runs of a byte and of different ones, after a byte that says which and how many.
struct PackBits<'a> {
    bytes: Box<dyn BufRead + 'a>,
    left: usize,
    repeated: Option<u8>,
}

impl<'a> PackBits<'a> {
    fn new(bytes: Box<dyn BufRead + 'a>) -> Self {
        Self {
            bytes,
            left: 0,
            repeated: None,
        }
    }

    /// The next byte, where there is one.
    fn next_byte(&mut self) -> Option<u8> {
        let mut byte = [0];
        let count = self.bytes.read(&mut byte).ok()?;
        (count == 1).then_some(byte[0])
    }
}

impl Read for PackBits<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.left == 0 {
            match self.next_byte().map(|byte| byte as i8) {
                None => return Ok(0),
                Some(-128) => {}
                Some(header) => {
                    self.left = usize::from(header.unsigned_abs()) + 1;
                    self.repeated = if header < 0 { self.next_byte() } else { None };
                    if header < 0 && self.repeated.is_none() {
                        return Ok(0);
                    }
                }
            }
        }
        let count = self.left.min(out.len());
        self.left -= count;
        match self.repeated {
            Some(byte) => out[..count].fill(byte),
            None => self.bytes.read_exact(&mut out[..count])?,
        }
        Ok(count)
    }
}
