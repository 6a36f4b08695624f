//! How the types of a Parquet file's columns are read: as the program that wrote it says, by polars' types, or as bytes.

use polars_core::prelude::{ArrowDataType, ArrowField, ArrowSchema};
use polars_parquet::parquet::schema::types::{
    PhysicalType, PrimitiveConvertedType, PrimitiveLogicalType, PrimitiveType,
};
use polars_parquet::read::FileMetadata;
use polars_parquet::read::schema::{
    parquet_to_arrow_schema, read_custom_key_value_metadata, read_schema_from_metadata,
};

use crate::source::columns::error::guard;

/// The type of values that polars has no type for and reads as bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// It has one.
    Typed,
    /// Float16.
    Half,
    /// A decimal with so many digits behind the point.
    Decimal(usize),
    /// Sixteen bytes that are written in hexadecimal digits.
    Uuid,
    /// Bytes of one length.
    Bytes,
}

/// Each column's field: as the program that wrote the file has it, where that can be read and says so, else by its Parquet type.
pub fn fields(metadata: &FileMetadata) -> Vec<(ArrowField, Option<&PrimitiveType>)> {
    let schema = metadata.schema();
    let arrow: Option<ArrowSchema> = guard(|| {
        let mut pairs = read_custom_key_value_metadata(metadata.key_value_metadata());
        read_schema_from_metadata(&mut pairs).map_err(|e| e.to_string())
    })
    .unwrap_or_default();
    let own = parquet_to_arrow_schema(schema.fields());
    let field = |own: &ArrowField| {
        let name = &own.name;
        let written = arrow.as_ref().and_then(|a| a.get(name));
        let field = written.filter(|f| !matches!(f.dtype(), ArrowDataType::Extension(_))).unwrap_or(own).clone();
        let of_name = schema.columns().iter().find(|c| c.path_in_schema.first().is_some_and(|n| n == name));
        (field, of_name.map(|c| &c.descriptor.primitive_type))
    };
    own.iter_values().map(field).collect()
}

/// The field to read a column by, and the type of its bytes if polars has none for them.
pub fn readable(mut field: ArrowField, kind: Option<&PrimitiveType>) -> (ArrowField, Form) {
    let Some(kind) = kind else { return (field, Form::Typed) };
    // Days are written, whatever the program kept in memory.
    if field.dtype == ArrowDataType::Date64 && kind.physical_type == PhysicalType::Int32 {
        field.dtype = ArrowDataType::Date32;
        return (field, Form::Typed);
    }
    let decimal = match (kind.logical_type, kind.converted_type) {
        (Some(PrimitiveLogicalType::Decimal(precision, scale)), _)
        | (None, Some(PrimitiveConvertedType::Decimal(precision, scale))) => Some((precision, scale)),
        _ => None,
    };
    let (dtype, form) = match (kind.physical_type, decimal) {
        (PhysicalType::FixedLenByteArray(2), _) if kind.logical_type == Some(PrimitiveLogicalType::Float16) => {
            (ArrowDataType::FixedSizeBinary(2), Form::Half)
        }
        (PhysicalType::FixedLenByteArray(length), Some((_, scale))) if length > 16 => {
            (ArrowDataType::FixedSizeBinary(length), Form::Decimal(scale))
        }
        (PhysicalType::ByteArray, Some((_, scale))) => (ArrowDataType::BinaryView, Form::Decimal(scale)),
        (PhysicalType::FixedLenByteArray(16), None) if kind.logical_type == Some(PrimitiveLogicalType::Uuid) => {
            (ArrowDataType::FixedSizeBinary(16), Form::Uuid)
        }
        (PhysicalType::FixedLenByteArray(length), None)
            if kind.converted_type != Some(PrimitiveConvertedType::Interval) =>
        {
            (ArrowDataType::FixedSizeBinary(length), Form::Bytes)
        }
        // The writer's type may be wider than the numbers are.
        (_, Some((precision, scale))) => (ArrowDataType::Decimal(precision, scale), Form::Typed),
        _ => return (field, Form::Typed),
    };
    field.dtype = dtype;
    (field, form)
}

/// Types polars is built to read here; others are never touched, since polars panics on some.
pub fn is_readable(kind: &ArrowDataType) -> bool {
    use ArrowDataType as A;
    if let A::Dictionary(_, value, _) = kind {
        return is_readable(value);
    }
    let number = matches!(
        kind,
        A::Int8
            | A::Int16
            | A::Int32
            | A::Int64
            | A::UInt8
            | A::UInt16
            | A::UInt32
            | A::UInt64
            | A::Float32
            | A::Float64
    );
    let decimal = matches!(kind, A::Decimal(..) | A::Decimal32(..) | A::Decimal64(..));
    let text = matches!(kind, A::Utf8 | A::LargeUtf8 | A::Utf8View | A::Binary | A::LargeBinary | A::BinaryView);
    let other = matches!(kind, A::Null | A::Boolean | A::Date32 | A::Date64 | A::Timestamp(..));
    number || decimal || text || other
}

/// The bare name of a type, without its parameters.
pub fn type_name(kind: &ArrowDataType) -> String {
    let full = format!("{kind:?}");
    full.split(['(', ' ', '{']).next().unwrap_or_default().to_owned()
}
