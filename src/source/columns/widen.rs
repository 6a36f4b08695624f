//! Columns of narrow floats as doubles.

use polars_core::prelude::arity::unary_elementwise_values;
use polars_core::prelude::{BinaryChunked, Float32Chunked, Float64Chunked, IntoSeries as _, Series};

use driftgate_core::decode::narrow::{half, single};

/// A column of float32.
#[must_use]
pub fn singles(column: &Float32Chunked) -> Float64Chunked {
    unary_elementwise_values(column, single)
}

/// A column of float16, each in two bytes.
pub fn halves(column: &BinaryChunked) -> Series {
    let value = |bytes: &[u8]| Some(half(u16::from_le_bytes(bytes.try_into().ok()?)));
    let found: Float64Chunked = column.iter().map(|bytes| bytes.and_then(value)).collect();
    found.with_name(column.name().clone()).into_series()
}
