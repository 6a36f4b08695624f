//! What the formats from 5 on added to the tables of a registry, and the present one.

/// The format this driftgate reads and writes (`user_version`). 0 is an empty file.
pub const FORMAT: i64 = 6;

/// What format 5 added: what MLflow says of a version, which counts for nothing until a caller with the right registers it here; where its
/// aliases stand that others moved; which of the old moves were taken over from there. A row of `lost_stages` is a void
/// pointer. `upgraded_from` is the format that the file had, until that is in the audit log.
pub const REPORTS: &str = "
CREATE TABLE reported (
    model   TEXT NOT NULL,
    version TEXT NOT NULL,
    kind    TEXT NOT NULL,
    value   TEXT NOT NULL,
    at      INTEGER NOT NULL,
    PRIMARY KEY (model, version, kind)
) STRICT;
CREATE TABLE moved_elsewhere (
    model   TEXT NOT NULL,
    stage   TEXT NOT NULL,
    version TEXT,
    at      INTEGER NOT NULL,
    PRIMARY KEY (model, stage)
) STRICT;
ALTER TABLE versions ADD COLUMN snapshot_replaced INTEGER NOT NULL DEFAULT 0;
ALTER TABLE likeness ADD COLUMN upgraded_from INTEGER;
DROP TRIGGER stage_moves_never_change;
ALTER TABLE stage_moves ADD COLUMN elsewhere INTEGER NOT NULL DEFAULT 0;
UPDATE stage_moves SET elsewhere = 1 WHERE actor = 'mlflow';
CREATE TRIGGER stage_moves_never_change BEFORE UPDATE ON stage_moves
    BEGIN SELECT RAISE(ABORT, 'moves are only added'); END;
CREATE INDEX rollouts_of ON rollouts (model);
";

/// What format 6 added: the number of the last change of a log of several processes that this file has. A registry that follows no
/// log has no row.
pub const REPLICA: &str = "
CREATE TABLE replica (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    seq INTEGER NOT NULL
) STRICT;
";

/// What an approval is bound to beside three digests, as JSON. A release of the same format that does not know it leaves it empty.
pub const BASIS: &str = "ALTER TABLE approvals ADD COLUMN basis TEXT;";
