//! Which files a path or pattern names.

use std::io;
use std::path::{Component, Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};

/// The files that a path names: itself, or, if no such file exists and it has one of `*?[`, those that match it as a pattern, sorted by name.
/// Names that begin with a dot match only where the pattern has the dot, as in a shell, so that nothing that is still being written is among them.
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
    // What says a dot stands for one name that begins with it: any more of those were met by wildcards.
    let dots = hidden(Path::new(pattern));
    let mut files = Vec::new();
    for found in glob::glob(pattern).map_err(malformed)? {
        let file = match found {
            Ok(file) => file,
            // Nothing in it matches, or it went meanwhile, as the directory of a load does that is complete.
            Err(error) if hidden(error.path()) > dots || error.error().kind() == io::ErrorKind::NotFound => {
                continue;
            }
            Err(error) => {
                let path = error.path().to_owned();
                return Err(Error::io("look into", &path, error.into()));
            }
        };
        if hidden(&file) == dots && file.is_file() {
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

/// How many names of a path begin with a dot.
fn hidden(path: &Path) -> usize {
    let begins = |part: Component<'_>| match part {
        Component::Normal(name) => name.as_encoded_bytes().starts_with(b"."),
        _ => false,
    };
    path.components().filter(|part| begins(*part)).count()
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

    #[test]
    fn what_begins_with_a_dot_is_matched_only_where_the_pattern_says_the_dot() {
        let dir = tempfile::tempdir().unwrap();
        let lake = dir.path().join(".cache/lake");
        for name in [
            "load=1/part",
            ".staging-2/part",
            ".staging-2/.lock",
            "load=1/.x/part",
            ".staging-2.lock",
        ] {
            let file = lake.join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, "").unwrap();
        }
        let found = |pattern: &str| -> Vec<PathBuf> {
            let found = matching(&lake.join(pattern)).unwrap_or_default();
            let below = |file: &PathBuf| file.strip_prefix(&lake).unwrap().to_owned();
            found.iter().map(below).collect()
        };
        let paths = |paths: &[&str]| -> Vec<PathBuf> { paths.iter().map(PathBuf::from).collect() };
        assert_eq!(found("**/*"), paths(&["load=1/part"]));
        assert_eq!(found("**/part"), paths(&["load=1/part"]));
        assert_eq!(found("*"), paths(&[]));
        assert_eq!(found("?staging-2/part"), paths(&[]));
        assert_eq!(found(".*"), paths(&[".staging-2.lock"]));
        assert_eq!(found(".staging-*/*"), paths(&[".staging-2/part"]));
        assert_eq!(found("./.staging-*/.*"), paths(&[".staging-2/.lock"]));
        assert_eq!(found("*/.x/*"), paths(&["load=1/.x/part"]));
        assert_eq!(
            found(".staging-2.lock"),
            paths(&[".staging-2.lock"]),
            "it is named itself"
        );
    }
}
