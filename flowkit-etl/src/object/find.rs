//! Which objects a key, a prefix or a pattern names.

use std::collections::HashSet;

use futures::TryStreamExt;
use glob::{MatchOptions, Pattern};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt as _};

use crate::error::{Error, ErrorKind, Result};
use crate::object::Bucket;
use crate::object::failure::is_without_bucket;

/// A star stands for no slash, and no name that begins with a dot.
const MATCHING: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

impl Bucket {
    /// The objects that a key, a prefix or a pattern names, in the order of their names.
    ///
    /// # Errors
    /// When there is none, or the pattern is malformed.
    pub(crate) async fn find(&self, pattern: &str) -> Result<Vec<ObjectMeta>> {
        let found = self.look(pattern).await?;
        if !found.is_empty() {
            return Ok(found);
        }
        let message = if pattern.is_empty() || pattern.ends_with('/') {
            format!("there is no object below {self}/{pattern}")
        } else if self.is_folder(pattern).await {
            format!(
                "there is no object {self}/{pattern}: what lies below it is named with a slash, `{pattern}/`"
            )
        } else {
            format!("there is no object {self}/{pattern}")
        };
        Err(Error::new(ErrorKind::NotFound, message))
    }

    /// The same; none, if there is none.
    pub(crate) async fn look(&self, pattern: &str) -> Result<Vec<ObjectMeta>> {
        let mut found = if pattern.contains(['*', '?', '[']) {
            self.matching(pattern).await?
        } else if pattern.is_empty() || pattern.ends_with('/') {
            self.all_below(pattern).await?
        } else {
            self.one(pattern).await?.into_iter().collect()
        };
        found.sort_by(|a, b| a.location.cmp(&b.location));
        Ok(found)
    }

    /// Whether this is no pattern, and there are objects below it. What cannot be found out is not so.
    async fn is_folder(&self, key: &str) -> bool {
        let place = self.path(key).ok().filter(|_| !key.contains(['*', '?', '[']));
        let Some(place) = place else {
            return false;
        };
        let below = self.store().list_with_delimiter(Some(&place)).await;
        below.is_ok_and(|below| !below.objects.is_empty() || !below.common_prefixes.is_empty())
    }

    /// The object of a key.
    async fn one(&self, key: &str) -> Result<Option<ObjectMeta>> {
        let (path, name) = (self.path(key)?, format!("{self}/{key}"));
        match self.store().head(&path).await {
            Ok(meta) => Ok(Some(meta)),
            // Whether only the object is missing or the bucket too, a list says.
            Err(object_store::Error::NotFound { .. }) => {
                match self.store().list_with_delimiter(Some(&path)).await {
                    Err(error) if is_without_bucket(&error) => Err(self.failed("read", &name, &error)),
                    _ => Ok(None),
                }
            }
            Err(error) => Err(self.failed("read", &name, &error)),
        }
    }

    /// All below a prefix but what is hidden.
    async fn all_below(&self, prefix: &str) -> Result<Vec<ObjectMeta>> {
        let prefix = self.path(prefix)?;
        let all = self.list(&prefix).await?;
        let hidden = |meta: &ObjectMeta| {
            let mut parts = meta.location.prefix_match(&prefix).into_iter().flatten();
            meta.location == prefix || parts.any(|part| part.as_ref().starts_with(['_', '.']))
        };
        self.without_folders(all.into_iter().filter(|meta| !hidden(meta)).collect())
            .await
    }

    async fn matching(&self, pattern: &str) -> Result<Vec<ObjectMeta>> {
        let matcher = Pattern::new(pattern).map_err(|error| {
            Error::new(ErrorKind::Options, format!("{pattern} is no pattern")).because(error)
        })?;
        let special = pattern.find(['*', '?', '[']).unwrap_or(pattern.len());
        let (literal, rest) = pattern.split_at(special);
        // Only whole parts of keys can be listed by.
        let prefix = literal.rsplit_once('/').map_or("", |(prefix, _)| prefix);
        let prefix = self.path(prefix)?;
        let matches = |meta: &ObjectMeta| matcher.matches_with(self.name_of(&meta.location), MATCHING);
        if rest.contains('/') || rest.contains("**") {
            let all = self.list(&prefix).await?;
            return self
                .without_folders(all.into_iter().filter(matches).collect())
                .await;
        }
        let all = self.directly_below(&prefix).await?;
        Ok(all.into_iter().filter(matches).collect())
    }

    /// Without what browsers of buckets put there for a folder, which is an empty object whose key ends in a slash. The store's client leaves that slash out of what it lists, but not when it lists by
    /// folders: there it is one of those, but for the folder that is listed.
    async fn without_folders(&self, mut found: Vec<ObjectMeta>) -> Result<Vec<ObjectMeta>> {
        let empty = found.iter().filter(|meta| meta.size == 0);
        let parents: HashSet<Path> = empty.filter_map(|meta| parent(&meta.location)).collect();
        let mut objects = HashSet::new();
        for parent in parents {
            let below = self.directly_below(&parent).await?.into_iter();
            objects.extend(below.map(|meta| meta.location).filter(|place| *place != parent));
        }
        found.retain(|meta| meta.size > 0 || objects.contains(&meta.location));
        Ok(found)
    }

    async fn directly_below(&self, prefix: &Path) -> Result<Vec<ObjectMeta>> {
        let listed = self.store().list_with_delimiter(Some(prefix)).await;
        Ok(listed.map_err(|error| self.unlisted(&error))?.objects)
    }

    async fn list(&self, prefix: &Path) -> Result<Vec<ObjectMeta>> {
        let listed = self.store().list(Some(prefix)).try_collect().await;
        listed.map_err(|error| self.unlisted(&error))
    }

    fn unlisted(&self, error: &object_store::Error) -> Error {
        self.failed("list", &self.to_string(), error)
    }
}

/// The place above one.
fn parent(place: &Path) -> Option<Path> {
    let mut parts: Vec<_> = place.parts().collect();
    parts.pop()?;
    Some(parts.into_iter().collect())
}
