//! Which files a path or pattern names.

use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};

/// The files that a path names: itself, or, if no such file exists and it has one of `*?[`, those that match it as a pattern, sorted by name.
///
/// # Errors
/// When there is none, or the pattern is malformed.
pub(crate) fn matching(path: &Path) -> Result<Vec<PathBuf>> {
    let pattern = path.to_str().filter(|text| text.contains(['*', '?', '[']));
    let (false, Some(pattern)) = (path.exists(), pattern) else {
        return match path.metadata() {
            Ok(metadata) if metadata.is_dir() => Err(Error::new(
                ErrorKind::NotFound,
                format!(
                    "{} is a directory: name its files, for example {}",
                    path.display(),
                    path.join("*").display()
                ),
            )),
            Ok(_) => Ok(vec![path.to_owned()]),
            Err(error) => Err(Error::io("read", path, error)),
        };
    };
    let malformed = |error: glob::PatternError| {
        Error::new(ErrorKind::Options, format!("{pattern} is no pattern")).because(error)
    };
    let mut files = Vec::new();
    for found in glob::glob(pattern).map_err(malformed)? {
        let file = found.map_err(|error| {
            let path = error.path().to_owned();
            Error::io("look into", &path, error.into())
        })?;
        if file.is_file() {
            files.push(file);
        }
    }
    if files.is_empty() {
        return Err(Error::new(
            ErrorKind::NotFound,
            format!("no file matches {pattern}"),
        ));
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_names_files_by_name_and_a_path_only_itself() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.csv", "a.csv", "c.txt", "[1].csv"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        std::fs::create_dir(dir.path().join("d.csv")).unwrap();
        let named = |pattern: &str| matching(&dir.path().join(pattern));
        let names = |files: Vec<PathBuf>| -> Vec<String> {
            let name = |file: &PathBuf| file.file_name().unwrap().to_str().unwrap().to_owned();
            files.iter().map(name).collect()
        };
        assert_eq!(names(named("*.csv").unwrap()), ["[1].csv", "a.csv", "b.csv"]);
        assert_eq!(
            names(named("[1].csv").unwrap()),
            ["[1].csv"],
            "a file of that name exists"
        );
        assert_eq!(named("*.parquet").unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(named("absent").unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(named("[.csv").unwrap_err().kind(), ErrorKind::Options);
        assert!(named("d.csv").unwrap_err().to_string().contains("name its files"));
    }
}
