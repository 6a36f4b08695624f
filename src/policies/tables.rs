//! A table of weights in a Parquet file, as the CSV text that the policy's reader takes: `importance: {file: weights.parquet}`.

use std::fs::File;
use std::path::Path;

use polars_io::SerReader as _;
use polars_io::SerWriter as _;
use polars_io::csv::write::CsvWriter;
use polars_io::parquet::read::ParquetReader;

use crate::source::columns;

/// Whether a file is a table in columns, by its ending.
pub(super) fn is_table(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("parquet"))
}

/// The rows of a Parquet file as CSV, with the names of the columns in the first line; an empty field is null.
pub(super) fn csv_of(path: &Path) -> Result<String, String> {
    let file = File::open(path).map_err(|e| e.to_string())?;
    let text = columns::guard(|| {
        let mut rows = ParquetReader::new(file).finish().map_err(|e| e.to_string())?;
        let mut text = Vec::new();
        CsvWriter::new(&mut text).finish(&mut rows).map_err(|e| e.to_string())?;
        Ok(text)
    })?;
    String::from_utf8(text).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use polars_core::df;
    use polars_io::parquet::write::ParquetWriter;

    const POLICY: &str = "apiVersion: driftgate/v1
model: m
baseline: {snapshot: \"train_v{version}.csv\"}
features: {numeric: [amount, age], categorical: [country]}
importance: {file: weights.parquet, feature: name, weight: gain}
checks: {g: {window: {size: 1h, slide: 1h}, rules: [{psi: {of: features, lt: 0.2}}]}}
";

    #[test]
    fn weights_in_parquet_are_those_of_the_same_csv() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["amount", "country"];
        let mut rows = df!("name" => names, "gain" => [0.1 + 0.2, 1e-7], "other" => [Some(1_i64), None]).unwrap();
        let file = std::fs::File::create(folder.path().join("weights.parquet")).unwrap();
        ParquetWriter::new(file).finish(&mut rows).unwrap();
        std::fs::write(folder.path().join("weights.csv"), "name,gain\namount,0.30000000000000004\ncountry,1e-7\n")
            .unwrap();
        let path = folder.path().join("p.yaml");
        let of =
            |text: &str| super::super::parse(text, &path).map(|policy| policy.importance).map_err(|e| e.to_string());
        let found = of(POLICY).unwrap();
        assert_eq!(found, of(&POLICY.replace("weights.parquet", "weights.csv")).unwrap());
        assert_eq!(found.get("amount"), Some(&0.300_000_000_000_000_04));
        std::fs::write(folder.path().join("weights.parquet"), "name,gain\n").unwrap();
        let told = of(POLICY).unwrap_err();
        assert!(told.contains("weights.parquet cannot be read: "), "{told}");
        let told = of(&POLICY.replace("gain}", "weight}")).unwrap_err();
        assert!(told.contains("cannot be read"), "{told}");
    }
}
