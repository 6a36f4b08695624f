//! Rows of several days into one file, as Parquet or CSV, a day at a time.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use polars_io::parquet::write::{BatchedWriter, ParquetCompression, ParquetWriter};

use super::HistoryError;
use super::columns::{self, Row};
use super::record::series::split;
use driftgate_core::codec::time::utc;

/// The columns of a CSV file; `bins` is JSON, as in a verdict.
const HEAD: &str = "model,version,stage,group,rule,metric,subject,segment,window_start,window_end,complete,status,value,lower,upper,limit,limit_side,warn,n,\
                    missing,invalid,reference_n,reason,pending,muted,predictions,labels,bins\n";

/// A file that rows are appended to.
pub struct Export {
    path: PathBuf,
    to: Form,
}

enum Form {
    Parquet(Box<BatchedWriter<File>>),
    Csv(BufWriter<File>),
}

impl Export {
    /// Makes the file; its ending says whether it is Parquet or CSV.
    ///
    /// # Errors
    /// A file that cannot be made, or another ending.
    pub fn create(path: &Path) -> Result<Self, HistoryError> {
        let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        let make = || File::create(path).map_err(HistoryError::file(path));
        let to = match ending {
            "csv" => {
                let mut file = BufWriter::new(make()?);
                file.write_all(HEAD.as_bytes()).map_err(HistoryError::file(path))?;
                Form::Csv(file)
            }
            "parquet" => {
                let none = columns::frame("", &[]).map_err(|e| HistoryError::unreadable(path, e))?;
                let writer =
                    ParquetWriter::new(make()?).with_compression(ParquetCompression::Zstd(None)).set_parallel(false);
                Form::Parquet(Box::new(writer.batched(none.schema()).map_err(|e| HistoryError::unreadable(path, e))?))
            }
            _ => {
                let source = io::Error::other("its name ends neither in .parquet nor in .csv: name it so");
                return Err(HistoryError::File { path: path.to_owned(), source });
            }
        };
        Ok(Self { path: path.to_owned(), to })
    }

    /// Appends rows of a model.
    ///
    /// # Errors
    /// A disk that does not take them.
    pub fn append(&mut self, model: &str, rows: &[Row]) -> Result<(), HistoryError> {
        if rows.is_empty() {
            return Ok(());
        }
        match &mut self.to {
            Form::Parquet(writer) => {
                let written = columns::frame(model, rows).and_then(|frame| writer.write_batch(&frame));
                written.map_err(|e| HistoryError::unreadable(&self.path, e))
            }
            Form::Csv(file) => {
                let written = rows.iter().try_for_each(|row| file.write_all(line(model, row).as_bytes()));
                written.map_err(HistoryError::file(&self.path))
            }
        }
    }

    /// Ends the file.
    ///
    /// # Errors
    /// A disk that does not take it.
    pub fn finish(self) -> Result<(), HistoryError> {
        match self.to {
            Form::Parquet(writer) => writer.finish().map(drop).map_err(|e| HistoryError::unreadable(&self.path, e)),
            Form::Csv(mut file) => file.flush().map_err(HistoryError::file(&self.path)),
        }
    }
}

/// A row as RFC 4180 has it.
fn line(model: &str, row: &Row) -> String {
    let of = &row.of;
    let number = |x: Option<f64>| x.map(|x| x.to_string());
    let count = |n: Option<u64>| n.map(|n| n.to_string());
    let bins: Vec<_> = of.bins.iter().map(super::record::Bin::as_in_a_verdict).collect();
    let bins = if bins.is_empty() { None } else { serde_json::to_string(&bins).ok() };
    let (subject, segment) = split(&of.subject);
    let cells: [Option<String>; 28] = [
        Some(model.to_owned()),
        Some(row.version.clone()),
        row.stage.clone(),
        Some(row.group.clone()),
        Some(of.rule.clone()),
        Some(of.metric.clone()),
        Some(subject.to_owned()),
        segment.map(str::to_owned),
        Some(utc(row.start_ms)),
        Some(utc(row.end_ms)),
        Some(row.complete.to_string()),
        Some(of.status.name().to_owned()),
        number(of.value),
        number(of.lower),
        number(of.upper),
        number(of.limit),
        of.side.clone(),
        number(of.warn),
        count(of.n),
        count(of.missing),
        count(of.invalid),
        count(of.reference_n),
        of.reason.clone(),
        Some(of.pending.to_string()),
        Some(of.muted.to_string()),
        Some(row.predictions.to_string()),
        Some(row.labels.to_string()),
        bins,
    ];
    let cells: Vec<String> =
        cells.into_iter().map(|cell| cell.map_or_else(String::new, |text| quoted(&text))).collect();
    cells.join(",") + "\n"
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::columns::{DayFile, rows_of, settled};
    use super::super::record::tests::{measured, window};
    use super::*;

    #[test]
    fn days_are_put_behind_each_other_in_both_forms() {
        let folder = tempfile::tempdir().unwrap();
        let day = |end| settled(rows_of(window("1", end, vec![measured("drift/psi", "a, \"b\"", 0.25)])).collect());
        for name in ["out.parquet", "out.csv"] {
            let path = folder.path().join(name);
            let mut export = Export::create(&path).unwrap();
            for end in [300_000, 86_400_000] {
                export.append("m", &day(end)).unwrap();
            }
            export.append("m", &[]).unwrap();
            export.finish().unwrap();
        }
        let bytes = std::fs::read(folder.path().join("out.parquet")).unwrap();
        let rows = DayFile::from_bytes(bytes).unwrap().rows().unwrap();
        assert_eq!(rows, [day(300_000), day(86_400_000)].concat());
        let csv = std::fs::read_to_string(folder.path().join("out.csv")).unwrap();
        let lines: Vec<&str> = csv.lines().collect();
        assert_eq!(lines.len(), 5);
        assert!(lines[1].starts_with("m,1,,drift,drift,verdict,,"), "{}", lines[1]);
        assert_eq!(
            lines[2],
            "m,1,,drift,drift/psi,psi,\"a, \"\"b\"\"\",,1970-01-01T00:00:00Z,1970-01-01T00:05:00Z,true,pass,0.25,,,0.2,lt,0.1,600,1,0,1000,,false,false,\
             600,0,\"[{\"\"le\"\":1.5,\"\"reference\"\":500,\"\"window\"\":320},{\"\"le\"\":null,\"\"reference\"\":500,\"\"window\"\":280}]\""
        );
        assert!(Export::create(&folder.path().join("out.xlsx")).is_err());
    }
}
