//! Where events come from: files (`columns` for Parquet and CSV, `jsonl` for JSON lines, `avro` for Avro, all behind `files`) and `kafka`.
//! `lines` cuts files of lines into parts. `prometheus` polls measurements, `schemas` fetches what framed messages are written with.

pub mod avro;
pub mod columns;
pub mod files;
pub mod jsonl;
pub mod kafka;
pub mod kserve;
pub mod lines;
pub mod listing;
pub mod many;
pub mod options;
pub mod packed;
pub mod partitions;
pub mod prometheus;
pub mod schemas;
pub mod table_lines;
pub mod tables;

#[cfg(test)]
mod tests;
