//! What repeats, once: the definitions and the words of a program, by their numbers, which are never given anew.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::{Row, SqliteConnection};

use super::bytes::{put_bytes, texts_from_bytes, texts_to_bytes};
use crate::record::{DefinitionRow, Digest};

/// The hash of a text of a flow run.
pub(super) fn hash_of(text: &str) -> i64 {
    let whole = blake3::hash(text.as_bytes());
    i64::from_le_bytes(whole.as_bytes().first_chunk().copied().unwrap_or_default())
}

fn digest_of(definition: &DefinitionRow) -> Digest {
    let mut bytes = vec![definition.is_flow.into()];
    for text in [
        &definition.package,
        &definition.module,
        &definition.name,
        &definition.code,
    ] {
        put_bytes(&mut bytes, text.as_bytes());
    }
    put_bytes(&mut bytes, &texts_to_bytes(&definition.parameters));
    let whole = blake3::hash(&bytes);
    whole.as_bytes().first_chunk().copied().unwrap_or_default()
}

/// What numbers stand for.
#[derive(Debug, Clone, Default)]
pub(super) struct Dictionary {
    definitions: HashMap<i64, (Arc<DefinitionRow>, Digest)>,
    words: HashMap<i64, String>,
    last_definition: i64,
    last_word: i64,
}

impl Dictionary {
    pub(super) fn definition(&self, number: i64) -> Option<(&Arc<DefinitionRow>, Digest)> {
        let (definition, digest) = self.definitions.get(&number)?;
        Some((definition, *digest))
    }

    pub(super) fn word(&self, number: i64) -> Option<&str> {
        self.words.get(&number).map(String::as_str)
    }

    /// The numbers of the definitions that share package, module and name.
    pub(super) fn of_same_name(&self, wanted: &DefinitionRow) -> Vec<i64> {
        let name = |row: &DefinitionRow| (row.package.clone(), row.module.clone(), row.name.clone());
        let wanted = name(wanted);
        let same = self
            .definitions
            .iter()
            .filter(|(_, (row, _))| name(row) == wanted);
        let mut numbers: Vec<i64> = same.map(|(number, _)| *number).collect();
        numbers.sort_unstable();
        numbers
    }

    /// Whether there is more than this.
    pub(super) async fn is_behind(&self, connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
        let row = sqlx::query(
            "SELECT coalesce((SELECT max(id) FROM words), 0), coalesce((SELECT max(id) FROM definitions), 0)",
        )
        .fetch_one(connection)
        .await?;
        Ok(row.try_get::<i64, _>(0)? > self.last_word || row.try_get::<i64, _>(1)? > self.last_definition)
    }

    /// Reads what is new.
    pub(super) async fn update(&mut self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let words = sqlx::query("SELECT id, text FROM words WHERE id > ?")
            .bind(self.last_word)
            .fetch_all(&mut *connection)
            .await?;
        for row in &words {
            let number = row.try_get(0)?;
            self.words.insert(number, row.try_get(1)?);
            self.last_word = self.last_word.max(number);
        }
        let definitions = sqlx::query(
            "SELECT id, is_flow, package, module, name, code, parameters FROM definitions WHERE id > ?",
        )
        .bind(self.last_definition)
        .fetch_all(connection)
        .await?;
        for row in &definitions {
            let number = row.try_get(0)?;
            let definition = DefinitionRow {
                is_flow: row.try_get(1)?,
                package: row.try_get(2)?,
                module: row.try_get(3)?,
                name: row.try_get(4)?,
                code: row.try_get(5)?,
                parameters: texts_from_bytes(row.try_get(6)?).unwrap_or_default(),
            };
            let digest = digest_of(&definition);
            self.definitions.insert(number, (Arc::new(definition), digest));
            self.last_definition = self.last_definition.max(number);
        }
        Ok(())
    }
}

/// The numbers of what is written. It is believed only as long as every batch is committed: after an error it is read anew.
#[derive(Debug)]
pub(super) struct Numbers {
    definitions: HashMap<Arc<DefinitionRow>, (i64, Digest)>,
    words: HashMap<String, i64>,
    /// Most rows are of the same definition as the one before.
    last: Option<(Arc<DefinitionRow>, (i64, Digest))>,
    /// Texts that are known to be written.
    texts: std::collections::HashSet<(u64, i64)>,
}

/// More texts than these are not remembered. Writing one again does no harm.
const TEXTS: usize = 50_000;

impl Numbers {
    pub(super) async fn read(connection: &mut SqliteConnection) -> Result<Self, sqlx::Error> {
        let mut dictionary = Dictionary::default();
        dictionary.update(connection).await?;
        let definitions = dictionary.definitions.into_iter();
        Ok(Self {
            definitions: definitions
                .map(|(number, (row, digest))| (row, (number, digest)))
                .collect(),
            words: dictionary
                .words
                .into_iter()
                .map(|(number, word)| (word, number))
                .collect(),
            last: None,
            texts: std::collections::HashSet::new(),
        })
    }

    pub(super) async fn definition(
        &mut self,
        connection: &mut SqliteConnection,
        definition: &Arc<DefinitionRow>,
    ) -> Result<(i64, Digest), sqlx::Error> {
        if let Some((last, known)) = &self.last
            && Arc::ptr_eq(last, definition)
        {
            return Ok(*known);
        }
        let known = match self.definitions.get(definition) {
            Some(known) => *known,
            None => {
                let row = sqlx::query(
                    "INSERT INTO definitions (is_flow, package, module, name, code, parameters) VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
                )
                .bind(definition.is_flow)
                .bind(definition.package.as_str())
                .bind(definition.module.as_str())
                .bind(definition.name.as_str())
                .bind(definition.code.as_str())
                .bind(texts_to_bytes(&definition.parameters))
                .fetch_one(connection)
                .await?;
                let known = (row.try_get(0)?, digest_of(definition));
                self.definitions.insert(Arc::clone(definition), known);
                known
            }
        };
        self.last = Some((Arc::clone(definition), known));
        Ok(known)
    }

    pub(super) async fn word(
        &mut self,
        connection: &mut SqliteConnection,
        word: &str,
    ) -> Result<i64, sqlx::Error> {
        if let Some(number) = self.words.get(word) {
            return Ok(*number);
        }
        let row = sqlx::query("INSERT INTO words (text) VALUES (?) RETURNING id")
            .bind(word)
            .fetch_one(connection)
            .await?;
        let number = row.try_get(0)?;
        self.words.insert(word.to_owned(), number);
        Ok(number)
    }

    /// Writes a text of a flow run, if it is not known to be there, and gives its hash.
    pub(super) async fn text(
        &mut self,
        connection: &mut SqliteConnection,
        run: u64,
        text: &str,
    ) -> Result<i64, sqlx::Error> {
        let hash = hash_of(text);
        if self.texts.len() >= TEXTS {
            self.texts.clear();
        }
        if self.texts.insert((run, hash)) {
            // A damaged one is mended.
            sqlx::query(
                "INSERT INTO texts (run, hash, text) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET text = excluded.text",
            )
            .bind(run as i64)
            .bind(hash)
            .bind(text)
            .execute(connection)
            .await?;
        }
        Ok(hash)
    }
}
