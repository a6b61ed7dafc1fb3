//! JSON files that hold their own digest.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::Serialize;
use serde::de::{DeserializeOwned, Error as _};
use serde_json::{Map, Value, json};

use crate::atomic::write_bytes;
use crate::digest::Digest;
use crate::error::{Error, Result};

/// The first field: 2 for files that hold their digest. Earlier files have neither field.
const VERSION_FIELD: &str = "format_version";
const VERSION: u64 = 2;

/// The last field: the SHA-256 of the fields before it, as JSON without spaces.
const DIGEST_FIELD: &str = "sha256";

/// Writes `value`, an object, as indented JSON, atomically and
/// [synchronised](crate::Durability::Synchronized), between the fields `format_version` (2) and
/// `sha256`, a digest of all the others.
///
/// # Errors
/// [`Error::Json`] if the value cannot be serialised, is no object or has one of these fields,
/// [`Error::Io`] if the file cannot be written.
pub fn write_json<T: Serialize + ?Sized>(path: &Path, value: &T) -> Result<()> {
    let text = serde_json::to_vec(value).map_err(Error::json(path))?;
    let mut fields = Map::from_iter([(VERSION_FIELD.to_owned(), json!(VERSION))]);
    // By way of text, so that numbers are those that will be read.
    let own: Map<String, Value> = serde_json::from_slice(&text).map_err(Error::json(path))?;
    if let Some(field) = [VERSION_FIELD, DIGEST_FIELD]
        .iter()
        .find(|field| own.contains_key(**field))
    {
        let reason = format!("the field `{field}` is that of the file itself");
        return Err(Error::json(path)(serde_json::Error::custom(reason)));
    }
    fields.extend(own);
    let digest = digest(path, &fields)?;
    fields.insert(DIGEST_FIELD.to_owned(), digest.into());
    let mut text = serde_json::to_vec_pretty(&fields).map_err(Error::json(path))?;
    text.push(b'\n');
    write_bytes(path, &text)
}

/// Reads a JSON file that [`write_json`] has written; `None` if there is no such file. Files of
/// earlier versions, which have no `format_version` and no digest, are read too.
///
/// # Errors
/// [`Error::Io`] if the file cannot be read, [`Error::Digest`] if it is not as it was written,
/// [`Error::Version`] if it is of a later version, [`Error::Json`] if it is not what `T` expects.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io(path)(error)),
    };
    let mut fields: Map<String, Value> =
        serde_json::from_slice(&text).map_err(Error::json(path))?;
    check(path, &mut fields)?;
    serde_json::from_value(Value::Object(fields))
        .map(Some)
        .map_err(Error::json(path))
}

/// Compares the digest, and leaves the fields that were given to [`write_json`].
fn check(path: &Path, fields: &mut Map<String, Value>) -> Result<()> {
    let stored = fields.shift_remove(DIGEST_FIELD);
    let version = fields.get(VERSION_FIELD).cloned();
    if stored.is_none() && version.is_none() {
        return Ok(());
    }
    let computed = digest(path, fields)?;
    let stored = stored.unwrap_or_default();
    if stored != *computed {
        return Err(Error::Digest {
            path: path.to_owned(),
            stored: stored.as_str().unwrap_or("none").to_owned(),
            computed,
        });
    }
    if version != Some(json!(VERSION)) {
        return Err(Error::Version {
            path: path.to_owned(),
            found: version.unwrap_or_default().to_string(),
            known: VERSION,
        });
    }
    fields.shift_remove(VERSION_FIELD);
    Ok(())
}

fn digest(path: &Path, fields: &Map<String, Value>) -> Result<String> {
    let text = serde_json::to_vec(fields).map_err(Error::json(path))?;
    Ok(Digest::of(&text).to_hex())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_back_and_a_missing_file_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("value.json");
        assert_eq!(read_json::<Value>(&path).unwrap(), None);
        let value = json!({"z": [1, 2, 3], "a": {"rate": 0.1, "large": u64::MAX, "none": null}});
        write_json(&path, &value).unwrap();
        assert_eq!(read_json(&path).unwrap(), Some(value));
        #[derive(Serialize)]
        struct Single {
            rate: f32,
            text: &'static str,
        }
        let text = "\u{7f} ü \" \\ \n";
        write_json(&path, &Single { rate: 0.1, text }).unwrap();
        let read: Value = read_json(&path).unwrap().unwrap();
        assert_eq!(read, json!({"rate": 0.1, "text": text}));
        fs::write(&path, "{\"z\": [4, ").unwrap();
        let error = read_json::<Value>(&path).unwrap_err();
        assert!(error.to_string().contains("value.json: EOF"), "{error}");
        let error = Error::advise("remove it")(error).to_string();
        assert!(error.ends_with("column 10; remove it"), "{error}");
        let error = write_json(&path, &[1, 2]).unwrap_err().to_string();
        assert!(
            error.contains("value.json") && error.contains("expected a map"),
            "{error}"
        );
    }

    #[test]
    fn the_fields_of_the_file_itself_are_no_others() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("value.json");
        for field in [VERSION_FIELD, DIGEST_FIELD] {
            let error = write_json(&path, &json!({field: 1}))
                .unwrap_err()
                .to_string();
            assert!(error.contains(field), "{error}");
            assert!(!path.exists());
        }
    }

    #[test]
    fn a_flipped_bit_changes_nothing_or_is_an_error_and_earlier_files_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("value.json");
        let value = json!({"seed": 12, "name": "core 1", "shares": [0.25, 1e-300], "last": true});
        write_json(&path, &value).unwrap();
        let good = fs::read(&path).unwrap();
        let mut harmless = 0;
        for bit in 0..8 * good.len() {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, &bytes).unwrap();
            match read_json::<Value>(&path) {
                Ok(read) => {
                    assert_eq!(
                        read,
                        Some(value.clone()),
                        "{}",
                        String::from_utf8_lossy(&bytes)
                    );
                    harmless += 1;
                }
                Err(error) => assert!(error.to_string().contains("value.json"), "{error}"),
            }
        }
        // White space that became other white space, a digit beyond the precision, `E`.
        assert!((1..8 * good.len() / 50).contains(&harmless), "{harmless}");

        fs::write(&path, value.to_string()).unwrap();
        assert_eq!(read_json(&path).unwrap(), Some(value));
        let mut later = Map::from_iter([(VERSION_FIELD.to_owned(), json!(3))]);
        later.insert(DIGEST_FIELD.into(), digest(&path, &later).unwrap().into());
        fs::write(&path, Value::Object(later).to_string()).unwrap();
        // It is not damaged.
        let error = Error::advise("remove it")(read_json::<Value>(&path).unwrap_err()).to_string();
        let expected = "format version 3; this library reads versions 1 and 2";
        assert!(error.ends_with(expected), "{error}");
    }
}
