//! Which loads a directory has: each is a directory of its own, and its record lies in it. It appears by one renaming, with its record.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::Path;

use arrow_schema::{DataType, Field, Schema};
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::since::{Progress, Since};
use crate::sink::format::{Compression, FileFormat};
use crate::sink::{LoadId, Loaded};
use crate::stream::columns;
use crate::value::Value;

/// The file in a load's directory that says what it is. Readers of data sets leave out what begins with an underscore.
const RECORD: &str = "_load.json";
/// How the name of a load's directory begins.
const DIRECTORY: &str = "load=";
/// The version of its form.
const VERSION: u32 = 1;

/// A load that was committed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LoadRecord {
    version: u32,
    pub(crate) load: LoadId,
    pub(crate) rows: u64,
    pub(crate) format: FileFormat,
    pub(crate) compression: Compression,
    pub(crate) columns: Vec<ColumnRecord>,
    pub(crate) partitioned_by: Vec<String>,
    pub(crate) parts: Vec<PartRecord>,
    /// The loads that this one is in place of, also those before them. One that is beside others names none.
    pub(crate) supersedes: BTreeSet<LoadId>,
    /// How many loads were committed before, by which the last one is known.
    #[serde(default)]
    pub(crate) generation: u64,
    /// Where all cursors were when it was committed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) cursors: BTreeMap<String, Value>,
}

/// A column of a load.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ColumnRecord {
    name: String,
    #[serde(rename = "type")]
    data_type: String,
    nullable: bool,
}

/// A file of a load, by its path below the load's directory.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PartRecord {
    pub(crate) path: String,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

impl LoadRecord {
    pub(crate) fn new(
        load: LoadId,
        (format, compression): (FileFormat, Compression),
        schema: &Schema,
        partitioned_by: &[String],
        parts: Vec<PartRecord>,
    ) -> Self {
        let column = |field: &arrow_schema::FieldRef| ColumnRecord {
            name: field.name().clone(),
            data_type: field.data_type().to_string(),
            nullable: field.is_nullable(),
        };
        Self {
            version: VERSION,
            load,
            rows: parts.iter().map(|part| part.rows).sum(),
            format,
            compression,
            columns: schema.fields().iter().map(column).collect(),
            partitioned_by: partitioned_by.to_vec(),
            parts,
            supersedes: BTreeSet::new(),
            generation: 0,
            cursors: BTreeMap::new(),
        }
    }

    /// Comes after the loads of a ledger, with the cursors that it has, of which one moves on if this load is where it was.
    pub(crate) fn follow(&mut self, ledger: &Ledger, progress: Option<&Progress>) -> Result<()> {
        if let Some(last) = ledger.last() {
            self.generation = last.generation + 1;
            self.cursors = last.cursors.clone();
        }
        if let Some(progress) = progress {
            let cursor = progress.since.cursor();
            if ledger.since(cursor) != progress.since {
                return Err(progress.overtaken());
            }
            self.cursors
                .extend(progress.reached().map(|reached| (cursor.to_owned(), reached)));
        }
        Ok(())
    }

    /// Nothing, if columns can be recorded such that they are the same when they are read.
    pub(crate) fn check_columns(schema: &Schema) -> Result<()> {
        for field in schema.fields() {
            if field.data_type().to_string().parse().ok().as_ref() != Some(field.data_type()) {
                return Err(Error::new(
                    ErrorKind::Schema,
                    format!(
                        "the column `{}` is of a type that no data set can record: {}",
                        field.name(),
                        field.data_type()
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Its columns, those that name directories among them.
    pub(crate) fn schema(&self) -> Result<Schema> {
        let field = |column: &ColumnRecord| -> Result<Field> {
            let data_type: DataType = column.data_type.parse().map_err(|error| {
                let message = format!(
                    "the load `{}` has a column `{}` of an unknown type: it may be of a newer version",
                    self.load, column.name
                );
                Error::new(ErrorKind::Format, message).because(error)
            })?;
            Ok(Field::new(&column.name, data_type, column.nullable))
        };
        Ok(Schema::new(
            self.columns.iter().map(field).collect::<Result<Vec<_>>>()?,
        ))
    }

    /// Whether both are of one attempt at a load, the files of which have names that no other attempt has.
    #[cfg(feature = "objects")]
    pub(crate) fn is_of(&self, other: &Self) -> bool {
        let mut pairs = self.parts.iter().zip(&other.parts);
        self.load == other.load
            && self.parts.len() == other.parts.len()
            && pairs.all(|(own, other)| own.path == other.path)
    }

    /// What it says to whoever made it.
    pub(crate) fn loaded(&self, root: &Path, repeated: bool) -> Loaded {
        let directory = root.join(directory_name(&self.load));
        let file = |part: &PartRecord| directory.join(&part.path).display().to_string();
        Loaded {
            load: self.load.clone(),
            rows: self.rows,
            bytes: self.parts.iter().map(|part| part.bytes).sum(),
            files: self.parts.iter().map(file).collect(),
            repeated,
        }
    }

    /// Writes it into the directory of its load, for good.
    pub(crate) fn write(&self, directory: &Path) -> Result<()> {
        let path = directory.join(RECORD);
        let failed = |error: std::io::Error| Error::io("write", &path, error);
        let mut file = File::create(&path).map_err(failed)?;
        serde_json::to_writer_pretty(&mut file, self).map_err(|error| failed(error.into()))?;
        file.sync_all().map_err(failed)?;
        crate::durable::sync_directory(directory)
    }
}

/// The name of a load's directory.
pub(crate) fn directory_name(load: &LoadId) -> String {
    format!("{DIRECTORY}{load}")
}

/// The loads that have a directory, whether they count or not. A data set that is not there has none.
pub(crate) fn listed(root: &Path) -> Result<BTreeSet<LoadId>> {
    let failed = |error| Error::io("look into", root, error);
    let entries = match fs::read_dir(root) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        entries => entries.map_err(failed)?,
    };
    let mut loads = BTreeSet::new();
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        let load = name.to_str().and_then(|name| name.strip_prefix(DIRECTORY));
        loads.extend(load.and_then(|load| LoadId::new(load).ok()));
    }
    Ok(loads)
}

/// The loads that count in a directory, by name, and all that were superseded.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) loads: Vec<LoadRecord>,
    pub(crate) superseded: BTreeSet<LoadId>,
}

impl Ledger {
    /// What a directory has. One that is not there has nothing.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        Self::read_listed(root, || listed(root))
    }

    /// What the loads are that `list` names. While others commit, a list may lack a load that has come, and name those that went for it: so it is made until nothing has come or gone meanwhile.
    fn read_listed(root: &Path, mut list: impl FnMut() -> Result<BTreeSet<LoadId>>) -> Result<Self> {
        let mut names = list()?;
        let mut gone = BTreeSet::new();
        // A record stays as it is, for as long as it is there.
        let mut records = BTreeMap::new();
        loop {
            let without = read_records(root, &names, &mut records)?;
            let after = list()?;
            if after == names && without.is_subset(&gone) {
                records.retain(|load, _| names.contains(load));
                return Self::of(root, records.into_values(), &without);
            }
            (names, gone) = (after, without);
        }
    }

    /// What these records say. What is without one is what is left of a load that was replaced, or a load of which nobody knows what it is.
    fn of(
        root: &Path,
        records: impl Iterator<Item = LoadRecord>,
        without: &BTreeSet<LoadId>,
    ) -> Result<Self> {
        let mut ledger = Self {
            loads: records.collect(),
            superseded: BTreeSet::new(),
        };
        for record in &ledger.loads {
            ledger.superseded.extend(record.supersedes.iter().cloned());
        }
        let superseded = &ledger.superseded;
        if let Some(load) = without.iter().find(|load| !superseded.contains(load)) {
            let message = format!(
                "{} has no record, `{RECORD}`: restore it, or remove the directory",
                root.join(directory_name(load)).display()
            );
            return Err(Error::new(ErrorKind::Format, message));
        }
        ledger.loads.retain(|record| !superseded.contains(&record.load));
        ledger.loads.sort_by(|a, b| a.load.cmp(&b.load));
        Ok(ledger)
    }

    /// The load that was committed last.
    pub(crate) fn last(&self) -> Option<&LoadRecord> {
        self.loads.iter().max_by_key(|record| record.generation)
    }

    /// Where a cursor is.
    pub(crate) fn since(&self, cursor: &str) -> Since {
        match self.last().and_then(|record| record.cursors.get(cursor)) {
            Some(value) => Since::after(cursor, value.clone()),
            None => Since::beginning(cursor),
        }
    }

    /// What a load of this name gave, if it was committed. Of one that was superseded, only that it was is known.
    pub(crate) fn repeated(&self, root: &Path, load: &LoadId) -> Option<Loaded> {
        if let Some(record) = self.loads.iter().find(|record| record.load == *load) {
            return Some(record.loaded(root, true));
        }
        self.superseded.contains(load).then(|| Loaded {
            load: load.clone(),
            rows: 0,
            bytes: 0,
            files: Vec::new(),
            repeated: true,
        })
    }

    /// Nothing, if a load of these columns can stand beside those that are there.
    pub(crate) fn check(&self, root: &Path, schema: &Schema) -> Result<()> {
        for record in &self.loads {
            let there = record.schema()?;
            if there.fields() != schema.fields() {
                return Err(Error::new(
                    ErrorKind::Schema,
                    format!(
                        "{} has the columns {}, and {} are to be added: cast them, or replace what is there",
                        root.display(),
                        columns(&there),
                        columns(schema)
                    ),
                ));
            }
        }
        Ok(())
    }
}

/// Reads the records of these loads that were not read before, and says which loads have none.
fn read_records(
    root: &Path,
    names: &BTreeSet<LoadId>,
    records: &mut BTreeMap<LoadId, LoadRecord>,
) -> Result<BTreeSet<LoadId>> {
    let mut without = BTreeSet::new();
    for load in names
        .iter()
        .filter(|load| !records.contains_key(load))
        .collect::<Vec<_>>()
    {
        match read_record(&root.join(directory_name(load)).join(RECORD))? {
            Some(record) => drop(records.insert(load.clone(), record)),
            None => drop(without.insert(load.clone())),
        }
    }
    Ok(without)
}

/// The record of a load. A directory that is cleared away at this moment has none.
fn read_record(path: &Path) -> Result<Option<LoadRecord>> {
    let text = match fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(|error| Error::io("read", path, error))?,
    };
    let record: LoadRecord = serde_json::from_slice(&text).map_err(|error| {
        let message = format!(
            "{} is no record of a load: it may be of a newer version",
            path.display()
        );
        Error::new(ErrorKind::Format, message).because(error)
    })?;
    if record.version != VERSION {
        let message = format!("{} was written by a newer version", path.display());
        return Err(Error::new(ErrorKind::Format, message));
    }
    Ok(Some(record))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> LoadId {
        LoadId::new(name).unwrap()
    }

    fn format() -> FileFormat {
        FileFormat::of_name("a.csv".as_ref())
            .or_else(|_| FileFormat::of_name("a.jsonl".as_ref()))
            .or_else(|_| FileFormat::of_name("a.parquet".as_ref()))
            .unwrap()
            .0
    }

    /// Commits a load without files in place of others.
    fn commit(root: &Path, load: &str, former: &[&str]) {
        let schema = Schema::new(vec![Field::new("day", DataType::Int64, true)]);
        let format = (format(), Compression::None);
        let mut record = LoadRecord::new(id(load), format, &schema, &[], Vec::new());
        record.supersedes = former.iter().map(|load| id(load)).collect();
        let directory = root.join(directory_name(&id(load)));
        fs::create_dir(&directory).unwrap();
        record.write(&directory).unwrap();
    }

    fn names(ledger: &Ledger) -> Vec<&str> {
        ledger.loads.iter().map(|record| record.load.as_str()).collect()
    }

    #[test]
    fn a_reader_sees_no_part_of_what_is_being_replaced() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        commit(root, "a", &[]);
        commit(root, "b", &[]);
        // After the first list, a load comes in place of both, and one of them goes.
        let mut first = true;
        let list = || {
            let names = listed(root)?;
            if std::mem::take(&mut first) {
                commit(root, "c", &["a", "b"]);
                fs::remove_dir_all(root.join("load=a")).unwrap();
            }
            Ok(names)
        };
        assert_eq!(names(&Ledger::read_listed(root, list).unwrap()), ["c"]);
    }

    #[test]
    fn a_list_that_missed_what_came_is_made_again() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        commit(root, "b", &[]);
        commit(root, "c", &["a", "b"]);
        let mut lists = vec![BTreeSet::from([id("b")])];
        let list = || lists.pop().map_or_else(|| listed(root), Ok);
        assert_eq!(names(&Ledger::read_listed(root, list).unwrap()), ["c"]);
    }

    #[test]
    fn what_is_left_of_a_load_is_none() {
        let root = tempfile::tempdir().unwrap();
        commit(root.path(), "c", &["a"]);
        fs::create_dir(root.path().join("load=a")).unwrap();
        assert_eq!(names(&Ledger::read(root.path()).unwrap()), ["c"]);
    }

    #[test]
    fn a_load_whose_record_is_lost_is_not_left_out() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        commit(root, "a", &[]);
        commit(root, "b", &[]);
        fs::remove_file(root.join("load=b").join(RECORD)).unwrap();
        let error = Ledger::read(root).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Format);
        assert!(error.to_string().contains("load=b has no record"), "{error}");
        fs::remove_dir_all(root.join("load=b")).unwrap();
        assert_eq!(names(&Ledger::read(root).unwrap()), ["a"]);
    }
}
