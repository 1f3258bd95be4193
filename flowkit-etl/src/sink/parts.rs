//! The files of a load while they are written: some open at a time, within bounded memory.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::path::PathBuf;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use crate::durable;
use crate::error::{Error, Result};
use crate::sink::format::{Compression, FileFormat};
use crate::sink::ledger::PartRecord;
#[cfg(any(feature = "csv", feature = "json"))]
use crate::sink::length;
use crate::sink::output::Output;

/// How many files are open at once.
const MOST_OPEN: usize = 64;
/// How many bytes all open files may hold in memory.
const MOST_MEMORY: usize = 256 * 1024 * 1024;

/// The files below a directory.
pub(crate) struct Parts {
    root: PathBuf,
    /// How the names of the files begin.
    stem: String,
    format: (FileFormat, Compression),
    schema: SchemaRef,
    rows_per_file: u64,
    open: HashMap<String, Open>,
    /// How many files were begun.
    begun: usize,
    /// How many batches were written: what was written to longest ago is closed first.
    turn: u64,
    done: Vec<PartRecord>,
}

struct Open {
    path: String,
    output: Output,
    last: u64,
}

impl Open {
    /// Writes rows that can be read again.
    #[cfg(any(feature = "csv", feature = "json"))]
    fn write(&mut self, batch: &RecordBatch, format: FileFormat) -> Result<()> {
        let before = self.output.text_bytes();
        self.output.write(batch)?;
        length::check(format, batch, self.output.text_bytes() - before)
    }

    #[cfg(not(any(feature = "csv", feature = "json")))]
    fn write(&mut self, batch: &RecordBatch, _: FileFormat) -> Result<()> {
        self.output.write(batch)
    }
}

impl Parts {
    pub(crate) fn new(
        (root, stem): (PathBuf, String),
        format: (FileFormat, Compression),
        schema: SchemaRef,
        rows_per_file: u64,
    ) -> Self {
        Self {
            root,
            stem,
            format,
            schema,
            rows_per_file,
            open: HashMap::new(),
            begun: 0,
            turn: 0,
            done: Vec::new(),
        }
    }

    /// Writes rows into the file that is open in a directory, or into a new one.
    pub(crate) fn write(&mut self, directory: &str, batch: &RecordBatch) -> Result<()> {
        self.turn += 1;
        if !self.open.contains_key(directory) {
            if self.open.len() >= MOST_OPEN {
                self.close_one(|open| open.last)?;
            }
            let open = self.begin(directory)?;
            self.open.insert(directory.to_owned(), open);
        }
        if let Some(open) = self.open.get_mut(directory) {
            open.last = self.turn;
            open.write(batch, self.format.0)?;
            if open.output.rows >= self.rows_per_file {
                self.close(directory)?;
            }
        }
        while self
            .open
            .values()
            .map(|open| open.output.in_memory())
            .sum::<usize>()
            > MOST_MEMORY
        {
            // The largest one; ended early, its rows go on in another file.
            self.close_one(|open| u64::MAX - open.output.in_memory() as u64)?;
        }
        Ok(())
    }

    /// Ends all files, and says what they are. All of it is on the disk then.
    pub(crate) fn finish(mut self) -> Result<Vec<PartRecord>> {
        let directories: Vec<String> = self.open.keys().cloned().collect();
        for directory in &directories {
            self.close(directory)?;
        }
        for directory in directories_of(&self.done) {
            durable::sync_directory(&self.root.join(directory))?;
        }
        self.done.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(self.done)
    }

    fn begin(&mut self, directory: &str) -> Result<Open> {
        let (format, compression) = self.format;
        let name = format!(
            "{}-{:05}.{}{}",
            self.stem,
            self.begun,
            format.extension(),
            compression.suffix()
        );
        self.begun += 1;
        let path = match directory {
            "" => name,
            directory => format!("{directory}/{name}"),
        };
        let whole = self.root.join(&path);
        durable::make_directory(durable::directory_of(&whole))?;
        let file = File::create_new(&whole).map_err(|error| Error::io("write", &whole, error))?;
        Ok(Open {
            path,
            output: Output::new((&whole, file), self.format, &self.schema)?,
            last: self.turn,
        })
    }

    fn close_one(&mut self, least: impl Fn(&Open) -> u64) -> Result<()> {
        let chosen = self.open.iter().min_by_key(|(_, open)| least(open));
        match chosen.map(|(directory, _)| directory.clone()) {
            Some(directory) => self.close(&directory),
            None => Ok(()),
        }
    }

    fn close(&mut self, directory: &str) -> Result<()> {
        if let Some(open) = self.open.remove(directory) {
            let rows = open.output.rows;
            let bytes = open.output.finish()?;
            self.done.push(PartRecord {
                path: open.path,
                rows,
                bytes,
            });
        }
        Ok(())
    }
}

/// The directories of files, and those above them: of all files, also those that were closed long ago.
fn directories_of(parts: &[PartRecord]) -> BTreeSet<&str> {
    let directories = parts.iter().map(|part| match part.path.rsplit_once('/') {
        Some((directory, _)) => directory,
        None => "",
    });
    directories.flat_map(ancestors).collect()
}

/// A directory and those above it, the root first.
fn ancestors(directory: &str) -> Vec<&str> {
    let mut all = vec![""];
    all.extend(
        directory
            .match_indices('/')
            .filter_map(|(end, _)| directory.get(..end)),
    );
    if !directory.is_empty() {
        all.push(directory);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_directories_are_made_durable_also_those_whose_files_are_closed() {
        let part = |path: &str| PartRecord {
            path: path.to_owned(),
            rows: 1,
            bytes: 1,
        };
        let parts = [part("a=1/b=1/part-00000.csv"), part("a=1/b=2/part-00001.csv")];
        let directories: Vec<&str> = directories_of(&parts).into_iter().collect();
        assert_eq!(directories, ["", "a=1", "a=1/b=1", "a=1/b=2"]);
        assert_eq!(directories_of(&[part("part-00000.csv")]), BTreeSet::from([""]));
    }
}
