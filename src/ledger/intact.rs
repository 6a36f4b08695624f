//! Whether the last records of the audit log are what was written, as a running process can say it: their hashes, their chain, and the checkpoints that
//! this registry's key signed. Who can change the file and its key can change both; anchors elsewhere reveal that (`driftgate audit verify`).

use rusqlite::{Connection, params};

use super::embedded::Embedded;
use super::error::RegistryError;
use driftgate_core::audit::chain::LogRow;
use driftgate_core::audit::signed_head::{PublicKeys, SignedHead, Signer};
use driftgate_core::audit::verify::{Anchored, Problem, Report, verify};

/// Of the checkpoints, which every change writes, so many are looked at: the last one vouches for all records before it.
const CHECKPOINTS: i64 = 50;

/// What was looked at, and how it came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intact {
    pub report: Report,
    /// Records before those that were looked at.
    pub before: u64,
}

impl Embedded {
    /// Verifies the last records of the audit log, so many at most.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn verify_last(&self, most: usize) -> Result<Intact, RegistryError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let (rows, checkpoints) = self.read(|tx| Ok((rows(tx, most)?, checkpoints(tx)?)))?;
        let first = rows.first().map_or(1, |row| row.seq);
        let keys = self.signer.iter().map(Signer::public_key).collect::<PublicKeys>();
        let anchored: Vec<Anchored> = checkpoints
            .iter()
            .filter_map(|json| serde_json::from_slice::<SignedHead>(json).ok())
            .filter(|checkpoint| checkpoint.seq >= first)
            .map(|checkpoint| Anchored { origin: "the database".to_owned(), checkpoint })
            .collect();
        let mut report = verify(rows, &anchored, &keys);
        // What was not read is not missing; that the first record follows it is not looked at.
        report.problems.retain(|problem| match problem {
            Problem::Missing { to, .. } => *to >= first,
            Problem::BrokenLink { seq, .. } => *seq > first || first == 1,
            _ => true,
        });
        Ok(Intact { report, before: first.saturating_sub(1) })
    }
}

/// The last records, the oldest first.
fn rows(tx: &Connection, most: i64) -> rusqlite::Result<Vec<LogRow>> {
    let query = "SELECT seq, CAST(bytes AS BLOB), CAST(hash AS BLOB) FROM audit ORDER BY seq DESC LIMIT ?1";
    let mut statement = tx.prepare_cached(query)?;
    let rows = statement.query_map(params![most], |row| {
        let hash: Vec<u8> = row.get(2)?;
        Ok(LogRow {
            seq: row.get::<_, i64>(0)?.cast_unsigned(),
            bytes: row.get(1)?,
            hash: String::from_utf8_lossy(&hash).into_owned(),
        })
    })?;
    let mut rows: Vec<LogRow> = rows.collect::<Result<_, _>>()?;
    rows.reverse();
    Ok(rows)
}

fn checkpoints(tx: &Connection) -> rusqlite::Result<Vec<Vec<u8>>> {
    let query = "SELECT CAST(json AS BLOB) FROM audit_checkpoints ORDER BY seq DESC LIMIT ?1";
    let mut statement = tx.prepare_cached(query)?;
    let found = statement.query_map(params![CHECKPOINTS], |row| row.get(0))?;
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftgate_core::promotion::version::Registration;

    #[test]
    fn the_last_records_are_intact_until_one_is_changed() {
        let folder = tempfile::tempdir().unwrap();
        let registry = Embedded::open(&folder.path().join("registry.db")).unwrap();
        assert!(registry.verify_last(10).unwrap().report.is_intact(), "an empty log");
        for version in 0..20 {
            let (model, version) = ("m".to_owned(), version.to_string());
            registry.register(&Registration { model, version, ..Registration::default() }, "ci", 1).unwrap();
        }
        let all = registry.verify_last(1000).unwrap();
        assert!(all.report.is_intact() && all.before == 0 && all.report.unvouched() == 0, "{all:?}");
        let last = registry.verify_last(5).unwrap();
        assert!(last.report.is_intact() && last.report.records == 5, "{last:?}");
        assert_eq!(last.before, all.report.records - 5);
        let connection = registry.connection.lock().unwrap();
        let seq = i64::try_from(all.report.records).unwrap() - 2;
        let bytes: String =
            connection.query_row("SELECT bytes FROM audit WHERE seq = ?1", [seq], |r| r.get(0)).unwrap();
        // Whoever changes the file takes its triggers away first.
        let triggers: Vec<String> = connection
            .prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        triggers.iter().for_each(|name| connection.execute_batch(&format!("DROP TRIGGER {name}")).unwrap());
        connection
            .execute("UPDATE audit SET bytes = ?2 WHERE seq = ?1", params![seq, bytes.replace("\"ci\"", "\"me\"")])
            .unwrap();
        drop(connection);
        let changed = registry.verify_last(5).unwrap();
        assert!(changed.report.problems.iter().any(|p| matches!(p, Problem::Changed { .. })), "{changed:?}");
    }
}
