//! Predictions as a Parquet file.

use std::io::Write;
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, Type as PhysicalType};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType};
use parquet::errors::Result as ParquetResult;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::Type;
use serde_json::Value;

use crate::terminal::AnyResult;

/// Rows that are held in memory at a time.
const ROW_GROUP: usize = 16_384;

/// A table of rows as `simclr predict --format jsonl` makes them, with the same columns as the CSV's.
/// The class is null where none was decided on.
pub(crate) struct ParquetFile<'a, W: Write + Send> {
    classes: &'a [String],
    writer: SerializedFileWriter<W>,
    /// Those of a row group that is not whole yet.
    rows: Vec<Value>,
}

impl<'a, W: Write + Send> ParquetFile<'a, W> {
    pub(crate) fn new(classes: &'a [String], file: W) -> AnyResult<Self> {
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY);
        let schema = Arc::new(schema(classes)?);
        Ok(Self {
            classes,
            writer: SerializedFileWriter::new(file, schema, Arc::new(properties.build()))?,
            rows: Vec::new(),
        })
    }

    pub(crate) fn write(&mut self, row: Value) -> AnyResult {
        self.rows.push(row);
        if self.rows.len() == ROW_GROUP {
            self.write_group()?;
        }
        Ok(())
    }

    pub(crate) fn finish(mut self) -> AnyResult {
        if !self.rows.is_empty() {
            self.write_group()?;
        }
        self.writer.close()?;
        Ok(())
    }

    fn write_group(&mut self) -> AnyResult {
        let group = std::mem::take(&mut self.rows);
        let mut columns = Columns(self.writer.next_row_group()?);
        columns.texts("image", &group)?;
        columns.texts("class", &group)?;
        columns.numbers(group.iter().map(|row| &row["confidence"]))?;
        columns.texts("second", &group)?;
        columns.numbers(group.iter().map(|row| &row["novelty"]))?;
        let novel = group.iter().map(|row| row["novel"] == Value::Bool(true));
        columns.write::<BoolType>(&Vec::from_iter(novel), None)?;
        for class in self.classes {
            columns.numbers(group.iter().map(|row| &row["probabilities"][class]))?;
        }
        columns.0.close()?;
        Ok(())
    }
}

fn schema(classes: &[String]) -> ParquetResult<Type> {
    let field = |name: &str, kind, repetition| {
        let logical = (kind == PhysicalType::BYTE_ARRAY).then_some(LogicalType::String);
        let builder = Type::primitive_type_builder(name, kind);
        let builder = builder.with_repetition(repetition);
        Ok(Arc::new(builder.with_logical_type(logical).build()?))
    };
    let (required, optional) = (Repetition::REQUIRED, Repetition::OPTIONAL);
    let fixed = [
        field("image", PhysicalType::BYTE_ARRAY, required),
        field("class", PhysicalType::BYTE_ARRAY, optional),
        field("confidence", PhysicalType::DOUBLE, required),
        field("second", PhysicalType::BYTE_ARRAY, required),
        field("novelty", PhysicalType::DOUBLE, required),
        field("novel", PhysicalType::BOOLEAN, required),
    ];
    let shares = classes.iter().map(|class| format!("p_{class}"));
    let shares = shares.map(|name| field(&name, PhysicalType::DOUBLE, required));
    let fields = fixed.into_iter().chain(shares);
    Type::group_type_builder("predictions")
        .with_fields(fields.collect::<ParquetResult<_>>()?)
        .build()
}

/// The columns of a row group, which are written in the order of the schema.
struct Columns<'a, W: Write>(SerializedRowGroupWriter<'a, W>);

impl<W: Write + Send> Columns<'_, W> {
    /// A column of texts; null is possible in the column of classes alone.
    fn texts(&mut self, key: &str, rows: &[Value]) -> AnyResult {
        let texts = rows.iter().map(|row| row[key].as_str());
        let present = texts.clone().map(|text| i16::from(text.is_some()));
        let present = (key == "class").then(|| Vec::from_iter(present));
        let texts = texts.flatten().map(ByteArray::from);
        self.write::<ByteArrayType>(&Vec::from_iter(texts), present.as_deref())
    }

    fn numbers<'a>(&mut self, numbers: impl Iterator<Item = &'a Value>) -> AnyResult {
        // JSON lines hold NaN as null.
        let numbers = numbers.map(|number| number.as_f64().unwrap_or(f64::NAN));
        self.write::<DoubleType>(&Vec::from_iter(numbers), None)
    }

    fn write<T: DataType>(&mut self, values: &[T::T], present: Option<&[i16]>) -> AnyResult {
        let column = self.0.next_column()?;
        let mut column = column.ok_or("the Parquet schema has too few columns")?;
        column.typed::<T>().write_batch(values, present, None)?;
        Ok(column.close()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::RowAccessor;
    use serde_json::json;

    #[test]
    fn every_row_can_be_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.parquet");
        let classes = ["fall-in".to_owned(), "größer, \"x\"".to_owned()];
        let count = ROW_GROUP + 3;
        let row = |index: usize| {
            let share = index as f64 / count as f64;
            let class = (!index.is_multiple_of(3)).then_some(&classes[1]);
            json!({
                "image": format!("{index}.png"), "class": class, "confidence": share,
                "second": classes[0], "novelty": 0.1, "novel": index.is_multiple_of(2),
                "probabilities": {&classes[0]: 1.0 - share, &classes[1]: share},
            })
        };
        let file = std::fs::File::create(&path).unwrap();
        let mut table = ParquetFile::new(&classes, file).unwrap();
        (0..count).for_each(|index| table.write(row(index)).unwrap());
        table.finish().unwrap();

        let reader = SerializedFileReader::try_from(path.as_path()).unwrap();
        assert_eq!(reader.num_row_groups(), 2);
        let mut rows = 0;
        for found in reader.get_row_iter(None).unwrap() {
            let (found, expected) = (found.unwrap(), row(rows));
            assert_eq!(
                found.get_string(0).unwrap(),
                expected["image"].as_str().unwrap()
            );
            let class = found.get_string(1).ok().map(String::as_str);
            assert_eq!(class, expected["class"].as_str());
            let confidence = expected["confidence"].as_f64().unwrap();
            assert_eq!(found.get_double(2).unwrap(), confidence);
            assert_eq!(found.get_string(3).unwrap(), &classes[0]);
            assert_eq!(found.get_bool(5).unwrap(), rows.is_multiple_of(2));
            assert_eq!(found.get_double(7).unwrap(), confidence);
            rows += 1;
        }
        assert_eq!(rows, count);
        let schema = reader.metadata().file_metadata().schema_descr();
        assert_eq!(schema.column(7).name(), "p_größer, \"x\"");
    }
}
