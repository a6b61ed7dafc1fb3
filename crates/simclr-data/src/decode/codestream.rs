//! What a JPEG 2000 file says of its tiles, before anything is reserved for them.

/// Bytes of the least part of a tile: its header and the marker of its data.
const LEAST_PART: usize = 14;

const START: &[u8] = b"\xFF\x4F";
const TILE_PART: u64 = 0xFF90;

/// The file without bytes behind its last box, which are none of it.
///
/// # Errors
/// If the code stream lacks a part of a tile, which decoders fill with grey; has more tiles than it
/// can hold; or is of another size than the box before it says.
pub(super) fn checked(file: &[u8]) -> Result<&[u8], String> {
    if file.starts_with(START) {
        return check_tiles(file).map(|()| file);
    }
    let (mut position, mut told, mut has_stream) = (0, None, false);
    while let Some((kind, content, end)) = next_box(file, position) {
        match kind {
            b"jp2h" => told = told_size(content)?,
            // Further ones are not decoded.
            b"jp2c" if !has_stream => {
                has_stream = true;
                let (width, height) = size(content)?;
                if let Some((told_width, told_height)) = told
                    && (told_width, told_height) != (width, height)
                {
                    return Err(damaged(format!(
                        "its header (box ihdr) says {told_width} x {told_height} pixels, its code \
                         stream (marker SIZ) {width} x {height}"
                    )));
                }
                check_tiles(content)?;
            }
            _ => {}
        }
        position = end;
    }
    if has_stream {
        Ok(&file[..position])
    } else {
        Err(damaged("it has no code stream (box jp2c)"))
    }
}

/// The kind and the content of the box that begins at a position, and where it ends. A code
/// stream may be cut off; its tiles tell.
fn next_box(file: &[u8], position: usize) -> Option<(&[u8; 4], &[u8], usize)> {
    let rest = file.get(position..)?;
    let kind = rest.get(4..)?.first_chunk()?;
    let (header, length) = match number(rest, 0, 4).ok()? {
        0 => (8, rest.len() as u64),
        1 => (16, number(rest, 8, 8).ok()?),
        length => (8, length),
    };
    let mut length = usize::try_from(length).unwrap_or(usize::MAX);
    if kind == b"jp2c" {
        length = length.min(rest.len());
    }
    Some((kind, rest.get(header..length)?, position + length))
}

/// The width and height that the box `ihdr` tells.
fn told_size(header: &[u8]) -> Result<Option<(u64, u64)>, String> {
    let mut position = 0;
    while let Some((kind, content, end)) = next_box(header, position) {
        if kind == b"ihdr" {
            return Ok(Some((number(content, 4, 4)?, number(content, 0, 4)?)));
        }
        position = end;
    }
    Ok(None)
}

/// The width and height of the code stream's picture, which may begin beside its grid's origin.
fn size(stream: &[u8]) -> Result<(u64, u64), String> {
    Ok((length(stream, 8, 16)?, length(stream, 12, 20)?))
}

/// How far a coordinate is from another; both are fields of SIZ.
fn length(stream: &[u8], end: usize, start: usize) -> Result<u64, String> {
    Ok(number(stream, end, 4)?.saturating_sub(number(stream, start, 4)?))
}

/// Fails unless each tile has all of its parts.
fn check_tiles(stream: &[u8]) -> Result<(), String> {
    let count = tile_count(stream)?;
    if count > (stream.len() / LEAST_PART) as u64 {
        let bytes = stream.len();
        return Err(damaged(format!(
            "{bytes} bytes cannot hold its {count} tiles"
        )));
    }
    // Parts that are there, and those that the last of them says there are, if it says so.
    let mut parts = vec![(0, 0); count as usize];
    let mut position = main_header_end(stream)?;
    while number(stream, position, 2) == Ok(TILE_PART) {
        let tile = number(stream, position + 4, 2)?;
        let Some((there, told)) = parts.get_mut(tile as usize) else {
            return Err(damaged(format!("it has a part of tile {tile} of {count}")));
        };
        *there += 1;
        *told = number(stream, position + 11, 1)?.max(*told);
        position = match number(stream, position + 6, 4)? {
            0 => stream.len(),
            length => position.saturating_add(length as usize),
        };
    }
    for (tile, (there, told)) in parts.into_iter().enumerate() {
        if there < told.max(1) {
            return Err(damaged(format!(
                "tile {tile} of {count} has {there} parts of {}",
                told.max(1)
            )));
        }
    }
    Ok(())
}

fn tile_count(stream: &[u8]) -> Result<u64, String> {
    let along = |end, size, start| match number(stream, size, 4)? {
        0 => Err(damaged("its tiles have no size (marker SIZ)")),
        size => Ok(length(stream, end, start)?.div_ceil(size)),
    };
    // Below 2^64, as either is below 2^32.
    Ok(along(8, 24, 32)? * along(12, 28, 36)?)
}

/// Where the first part of a tile begins.
fn main_header_end(stream: &[u8]) -> Result<usize, String> {
    let mut position = START.len();
    while number(stream, position, 2)? != TILE_PART {
        position += 2 + number(stream, position + 2, 2)? as usize;
    }
    Ok(position)
}

/// The number of up to 8 bytes at a position, the most significant first.
fn number(bytes: &[u8], at: usize, size: usize) -> Result<u64, String> {
    let field = at.checked_add(size).and_then(|end| bytes.get(at..end));
    let field = field.ok_or_else(|| damaged("a header of it is cut off"))?;
    Ok(field
        .iter()
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

fn damaged(what: impl std::fmt::Display) -> String {
    format!("the JPEG 2000 file is damaged: {what}")
}
