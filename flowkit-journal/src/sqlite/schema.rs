//! What the database consists of. A change is a new step at the end; what was released is never edited.
//!
//! Task runs take the space, so they are compact: states and definitions are numbers of a dictionary, names and errors hashes into
//! the texts of their run, times are differences, and what no query asks for is in one `body`. They lie in the order of their spots, items after
//! their fan-out: `item` is 0 for no item, and the index plus one for an item.

/// What a file consists of, and how it comes to that.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schema {
    /// The steps from an empty file to the present version, which is how many there are.
    pub(super) steps: &'static [&'static str],
    /// The tables that a file of the present version has.
    pub(super) tables: &'static [&'static str],
}

impl Schema {
    /// Whether something is created by this text, which SQLite keeps as it was. Besides that a damaged one means another thing, sqlx panics on a
    /// name that is no UTF-8, and its connection may answer no more.
    pub(super) fn creates(&self, text: &[u8]) -> bool {
        let text = std::str::from_utf8(text);
        text.is_ok_and(|text| self.steps.iter().any(|step| step.contains(text)))
    }
}

/// The present version.
pub(super) const PRESENT: Schema = Schema {
    steps: &[FIRST, SECOND, THIRD],
    tables: &[
        "answers",
        "attempts",
        "definitions",
        "doomed",
        "edges",
        "flows",
        "leaving",
        "logs",
        "measured",
        "objects",
        "opened",
        "tasks",
        "texts",
    ],
};

/// Runs, what belongs to them, and what is cleared out of them.
const FIRST: &str = "
CREATE TABLE words (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE definitions (
    id INTEGER PRIMARY KEY, is_flow INTEGER NOT NULL, package TEXT NOT NULL, module TEXT NOT NULL, name TEXT NOT NULL,
    code TEXT NOT NULL, parameters BLOB NOT NULL,
    UNIQUE (name, module, package, code, is_flow, parameters)
);

-- AUTOINCREMENT remembers the largest number that ever was.
CREATE TABLE flows (
    no INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL, life INTEGER NOT NULL, root INTEGER NOT NULL, parent BLOB,
    definition INTEGER NOT NULL, name TEXT NOT NULL, tags BLOB, state INTEGER NOT NULL, attempts INTEGER NOT NULL, error TEXT,
    created INTEGER NOT NULL, ended INTEGER, json TEXT, bytes BLOB, result_json TEXT, digest BLOB NOT NULL
);
CREATE INDEX flows_id ON flows (id, life);
CREATE INDEX flows_root ON flows (root);
CREATE INDEX flows_unfinished ON flows (no) WHERE ended IS NULL;
CREATE INDEX flows_ended ON flows (ended, no) WHERE parent IS NULL AND ended IS NOT NULL;

-- `created` counts from 2028, `ended` from `created`.
CREATE TABLE tasks (
    run INTEGER NOT NULL, node INTEGER NOT NULL, item INTEGER NOT NULL, definition INTEGER NOT NULL, state INTEGER NOT NULL,
    created INTEGER NOT NULL, ended INTEGER, kind INTEGER NOT NULL, effect INTEGER NOT NULL, name INTEGER, error INTEGER,
    uncached INTEGER, result BLOB, object INTEGER, body BLOB NOT NULL,
    PRIMARY KEY (run, node, item)
) WITHOUT ROWID;
CREATE INDEX tasks_unfinished ON tasks (run) WHERE ended IS NULL;
CREATE INDEX tasks_earlier ON tasks (definition, created + ended) WHERE item = 0;
CREATE INDEX tasks_object ON tasks (object) WHERE object IS NOT NULL;

-- Names and errors, each once in its flow run, by a hash of it.
CREATE TABLE texts (run INTEGER NOT NULL, hash INTEGER NOT NULL, text TEXT NOT NULL, PRIMARY KEY (run, hash)) WITHOUT ROWID;

CREATE TABLE attempts (
    run INTEGER NOT NULL, node INTEGER NOT NULL, item INTEGER NOT NULL, attempt INTEGER NOT NULL, started INTEGER NOT NULL,
    ended INTEGER NOT NULL, error INTEGER NOT NULL,
    PRIMARY KEY (run, node, item, attempt)
) WITHOUT ROWID;
CREATE TABLE edges (
    run INTEGER NOT NULL, node INTEGER NOT NULL, item INTEGER NOT NULL, from_run INTEGER NOT NULL, from_node INTEGER NOT NULL,
    from_item INTEGER NOT NULL, parameter INTEGER NOT NULL,
    PRIMARY KEY (run, node, item, from_run, from_node, from_item, parameter)
) WITHOUT ROWID;
CREATE TABLE logs (
    seq INTEGER PRIMARY KEY, run INTEGER NOT NULL, node INTEGER NOT NULL, item INTEGER NOT NULL, attempt INTEGER NOT NULL,
    at INTEGER NOT NULL, level INTEGER NOT NULL, target INTEGER NOT NULL, message TEXT NOT NULL
);
CREATE INDEX logs_run ON logs (run);

-- Large results: a file each. Whatever a task run no longer names may be doomed. (In a trigger, OR IGNORE would give way to what the
-- statement around it says.)
CREATE TABLE objects (id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, bytes INTEGER NOT NULL);
CREATE TABLE doomed (object INTEGER PRIMARY KEY);
CREATE TRIGGER tasks_replaced AFTER UPDATE OF object ON tasks WHEN OLD.object IS NOT NULL AND OLD.object IS NOT NEW.object
BEGIN INSERT INTO doomed SELECT OLD.object WHERE NOT EXISTS (SELECT 1 FROM doomed WHERE object = OLD.object); END;
CREATE TRIGGER tasks_deleted AFTER DELETE ON tasks WHEN OLD.object IS NOT NULL
BEGIN INSERT INTO doomed SELECT OLD.object WHERE NOT EXISTS (SELECT 1 FROM doomed WHERE object = OLD.object); END;

-- Trees that are being cleared out, by their roots: nobody sees them any more.
CREATE TABLE leaving (root INTEGER PRIMARY KEY);
-- What trees that have ended take, by their roots.
CREATE TABLE measured (root INTEGER PRIMARY KEY, result_bytes INTEGER NOT NULL, log_bytes INTEGER NOT NULL);
";

/// Whether a file that has no log beside it should have one.
const SECOND: &str = "
-- One row: whether a program has it open to write.
CREATE TABLE opened (now INTEGER NOT NULL);
INSERT INTO opened VALUES (0);
";

/// What was given to runs that waited for it.
const THIRD: &str = "
CREATE TABLE answers (
    place BLOB PRIMARY KEY, run INTEGER NOT NULL, key TEXT NOT NULL, at INTEGER NOT NULL, value BLOB NOT NULL, digest BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX answers_run ON answers (run);
";
