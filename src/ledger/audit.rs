//! The audit log as it is kept here, read for people: the newest first, and never more than is asked for. Whether it is whole is
//! checked elsewhere, by its stored bytes.

use rusqlite::{Connection, ToSql, params};
use serde_json::Value;

use super::embedded::Embedded;
use super::error::RegistryError;
use driftgate_core::audit::Event;

/// One answer holds records of so many bytes together; a longer record is an answer of its own.
const MOST_BYTES: usize = 4 << 20;
/// A version takes so many pieces of evidence (approvals, overrides) in its life, whatever replaces what.
pub(super) const MOST_ATTACHED: i64 = 500;
/// And so many bytes of records of them.
const MOST_ATTACHED_BYTES: i64 = 8 << 20;

/// A value of a record, as SQL. A record that is no JSON has none.
macro_rules! of_record {
    ($path:literal) => {
        concat!("json_extract(CASE WHEN json_valid(bytes) THEN bytes ELSE '{}' END, '", $path, "')")
    };
}

/// Who registered a version, gave it a stage or asked for its promotion (`?1`, `?2`), and to which stage: what the audit log
/// says, found by the index below. A stage that was taken back was not requested for the version.
pub(super) const REQUESTS: &str = concat!(
    "
SELECT DISTINCT
    ",
    of_record!("$.actor"),
    ",
    CASE ",
    of_record!("$.event"),
    " WHEN 'stage'
        THEN ",
    of_record!("$.payload.stage"),
    "
        ELSE ",
    of_record!("$.payload.to"),
    " END
FROM audit
WHERE ",
    of_record!("$.event"),
    " IN ('register', 'gate', 'stage')
  AND ",
    of_record!("$.model"),
    " = ?1
  AND ",
    of_record!("$.version"),
    " = ?2
  AND (",
    of_record!("$.event"),
    " <> 'stage'
       OR ",
    of_record!("$.payload.rollback"),
    " = 0)"
);

/// What finds records without reading the whole log. They hold nothing that the log does not say.
pub(super) const INDEXES: &str = concat!(
    "
CREATE INDEX IF NOT EXISTS audit_requests ON audit (
    ",
    of_record!("$.model"),
    ",
    ",
    of_record!("$.version"),
    "
) WHERE ",
    of_record!("$.event"),
    " IN ('register', 'gate', 'stage');
CREATE INDEX IF NOT EXISTS audit_of ON audit (
    ",
    of_record!("$.model"),
    "
);
CREATE INDEX IF NOT EXISTS audit_attached ON audit (
    ",
    of_record!("$.model"),
    ",
    ",
    of_record!("$.version"),
    ",
    ",
    of_record!("$.event"),
    ",
    length(CAST(bytes AS BLOB))
) WHERE ",
    of_record!("$.event"),
    " IN ('approval', 'evidence', 'override');
"
);

/// Records of a model, and of all, before one.
const OF_MODEL: &str = concat!(
    "
SELECT bytes FROM audit
WHERE ",
    of_record!("$.model"),
    " = ?1
  AND seq < ?2 ORDER BY seq DESC LIMIT ?3"
);
const OF_ALL: &str = "SELECT bytes FROM audit WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2";

/// How much of a kind was attached to a version.
const ATTACHED: &str = concat!(
    "
SELECT count(*), coalesce(sum(length(CAST(bytes AS BLOB))), 0) FROM audit
WHERE ",
    of_record!("$.event"),
    " IN ('approval', 'evidence', 'override')
  AND ",
    of_record!("$.model"),
    " = ?1
  AND ",
    of_record!("$.version"),
    " = ?2
  AND ",
    of_record!("$.event"),
    " = ?3"
);

/// A part of the audit log.
#[derive(Debug, Default)]
pub struct Records {
    /// The oldest first, as JSON.
    pub records: Vec<Value>,
    /// Older ones were asked for, too, and are left out: the answer would be too long.
    pub left_out: bool,
}

impl Embedded {
    /// The last records of a model (of all for `None`), the oldest first, as JSON; at most so many.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn audit(&self, model: Option<&str>, most: usize) -> Result<Vec<Value>, RegistryError> {
        Ok(self.audit_before(model, None, most)?.records)
    }

    /// The same, of those before the record `before`; whether a bound on the answer's bytes left older ones out.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn audit_before(
        &self,
        model: Option<&str>,
        before: Option<u64>,
        most: usize,
    ) -> Result<Records, RegistryError> {
        let before = before.and_then(|seq| i64::try_from(seq).ok()).unwrap_or(i64::MAX);
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let (texts, left_out) = self.read(|tx| match model {
            Some(model) => newest(tx, OF_MODEL, params![model, before, most]),
            None => newest(tx, OF_ALL, params![before, most]),
        })?;
        let records = texts.iter().rev().filter_map(|text| serde_json::from_str(text).ok()).collect();
        Ok(Records { records, left_out })
    }
}

/// The texts of a query, until they are longer than one answer is; whether some were left out.
pub(super) fn newest(tx: &Connection, query: &str, asked: &[&dyn ToSql]) -> rusqlite::Result<(Vec<String>, bool)> {
    let mut statement = tx.prepare_cached(query)?;
    let mut rows = statement.query(asked)?;
    let (mut texts, mut bytes) = (Vec::new(), 0_usize);
    while let Some(row) = rows.next()? {
        let text: String = row.get(0)?;
        bytes = bytes.saturating_add(text.len());
        if bytes > MOST_BYTES && !texts.is_empty() {
            return Ok((texts, true));
        }
        texts.push(text);
    }
    Ok((texts, false))
}

/// Fails where a version has no room for another event of this kind: the log keeps what is replaced, too. Approvals and
/// overrides have bounded texts, so that only the bytes of evidence count before they are written.
pub(super) fn room(tx: &Connection, (model, version): (&str, &str), event: &Event) -> Result<(), RegistryError> {
    let (kind, payload) = event.to_parts();
    let bytes = if matches!(event, Event::Evidence { .. }) { payload.to_string().len() } else { 0 };
    let (taken, taken_bytes): (i64, i64) =
        tx.prepare_cached(ATTACHED)?.query_row([model, version, &kind], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let bytes = taken_bytes.saturating_add(i64::try_from(bytes).unwrap_or(i64::MAX));
    if taken < MOST_ATTACHED && bytes <= MOST_ATTACHED_BYTES {
        return Ok(());
    }
    Err(RegistryError::Conflict(format!(
        "version {version:?} of {model:?} takes no more records of {kind}: it has {taken} of {taken_bytes} bytes, and one version \
         takes at most {MOST_ATTACHED} of {MOST_ATTACHED_BYTES} bytes together, replaced ones included; register another version"
    )))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use driftgate_core::promotion::version::Registration;

    fn registry(versions: &[&str]) -> Embedded {
        let registry = Embedded::in_memory().unwrap();
        for version in versions {
            let (model, version) = ("m".to_owned(), (*version).to_owned());
            registry.register(&Registration { model, version, ..Registration::default() }, "ci", 1).unwrap();
        }
        registry
    }

    #[test]
    fn every_reading_of_the_log_goes_by_an_index() {
        let registry = registry(&[]);
        let plan = |query: &str| -> String {
            let connection = registry.connection.lock().unwrap();
            let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {query}")).unwrap();
            for at in 1..=statement.parameter_count() {
                statement.raw_bind_parameter(at, 1).unwrap();
            }
            let (mut rows, mut plan) = (statement.raw_query(), String::new());
            while let Some(row) = rows.next().unwrap() {
                plan.push_str(&row.get::<_, String>(3).unwrap());
                plan.push('\n');
            }
            plan
        };
        for (query, index) in [(OF_MODEL, "audit_of"), (ATTACHED, "audit_attached"), (REQUESTS, "audit_requests")] {
            let plan = plan(query);
            assert!(plan.contains(index) && !plan.contains("FOR ORDER BY"), "{query}: {plan}");
        }
        let plan = plan(OF_ALL);
        assert!(plan.contains("PRIMARY KEY") && !plan.contains("FOR ORDER BY"), "{plan}");
    }

    #[test]
    fn a_history_is_the_newest_of_its_model_in_pages_of_bounded_bytes() {
        let registry = registry(&["1", "2"]);
        let long = |n: usize| json!(format!("{n}{}", "x".repeat(60_000)));
        for n in 0..100 {
            let version = if n % 2 == 0 { "1" } else { "2" };
            registry.attach("m", version, &[("model_card".to_owned(), long(n))], "ci", 2).unwrap();
        }
        let last = registry.audit_before(Some("m"), None, 3).unwrap();
        let seqs = |found: &Records| found.records.iter().map(|r| r["seq"].as_u64().unwrap()).collect::<Vec<_>>();
        assert_eq!((seqs(&last), last.left_out), (vec![100, 101, 102], false));
        let page = registry.audit_before(Some("m"), None, 10_000).unwrap();
        assert!(page.left_out && page.records.len() == 69, "{}", page.records.len());
        let rest = registry.audit_before(Some("m"), Some(seqs(&page)[0]), 10_000).unwrap();
        assert_eq!((seqs(&rest).len(), seqs(&rest)[0], rest.left_out), (33, 1, false));
        assert_eq!(registry.audit(Some("other"), 10).unwrap(), Vec::<Value>::new());
        assert_eq!(registry.audit(None, 2).unwrap().len(), 2);
    }

    #[test]
    fn a_version_takes_a_bounded_number_of_pieces_of_evidence_and_of_bytes() {
        let registry = registry(&["1", "2", "3"]);
        let attach = |version: &str, value: String| {
            registry.attach("m", version, &[("code_commit".to_owned(), json!(value))], "ci", 2)
        };
        for n in 0..MOST_ATTACHED {
            attach("1", format!("git:{n}")).unwrap();
        }
        let refused = attach("1", "git:more".to_owned()).unwrap_err().to_string();
        assert!(refused.contains("it has 500 of") && refused.contains("register another version"), "{refused}");
        // What it has may be said again; another version has its own room.
        attach("1", format!("git:{}", MOST_ATTACHED - 1)).unwrap();
        let taken = (0..1000).take_while(|n| attach("2", format!("{n:05}{}", "x".repeat(60_000))).is_ok()).count();
        assert_eq!(taken, 139, "8 MiB");
        attach("3", "git:1".to_owned()).unwrap();
    }
}
