//! What the name of a type tells and serde does not: which sequences are hash sets, and which tuples are arrays.
//!
//! The name only selects how a value is written, and is no part of the form. A set that is not recognised keeps the order of its
//! iteration, which costs misses and never a wrong hit.

/// Whether this is the name of a hash set of the standard library, of hashbrown or of indexmap.
pub(super) fn is_hash_set(name: &str) -> bool {
    let Some((path, _)) = held(name).split_once('<') else {
        return false;
    };
    matches!(
        ends(path),
        ("std" | "hashbrown", "HashSet") | ("indexmap", "IndexSet")
    )
}

/// Whether this is the name of an array.
pub(super) fn is_array(name: &str) -> bool {
    held(name).starts_with('[')
}

/// The name of what is behind any references, boxes, shared pointers and cells, all of which serialize as what they hold.
fn held(name: &str) -> &str {
    let mut name = name;
    loop {
        if let Some(referent) = name.strip_prefix('&') {
            name = referent.strip_prefix("mut ").unwrap_or(referent);
            continue;
        }
        if name.starts_with(['[', '(']) {
            return name;
        }
        let Some((path, content)) = name.split_once('<') else {
            return name;
        };
        match ends(path) {
            ("alloc", "Box" | "Rc" | "Arc" | "Cow") | ("core", "RefCell") | ("std", "Mutex" | "RwLock") => {
                name = content.strip_prefix("'_, ").unwrap_or(content);
            }
            _ => return name,
        }
    }
}

/// The package and the own name of a type: where the modules between lie is its package's matter.
fn ends(path: &str) -> (&str, &str) {
    let (package, _) = path.split_once("::").unwrap_or((path, ""));
    let (_, own) = path.rsplit_once("::").unwrap_or(("", path));
    (package, own)
}

#[cfg(test)]
mod tests {
    use std::any::type_name;
    use std::borrow::Cow;
    use std::cell::RefCell;
    use std::collections::{BTreeSet, HashMap, HashSet};
    use std::rc::Rc;
    use std::sync::{Arc, Mutex, RwLock};

    fn is_hash_set<T: ?Sized>() -> bool {
        super::is_hash_set(type_name::<T>())
    }

    fn is_array<T: ?Sized>() -> bool {
        super::is_array(type_name::<T>())
    }

    #[test]
    fn the_hash_sets_of_three_crates_are_recognised() {
        assert!(is_hash_set::<HashSet<u8>>());
        assert!(is_hash_set::<
            HashSet<Vec<String>, std::hash::BuildHasherDefault<std::hash::DefaultHasher>>,
        >());
        assert!(is_hash_set::<hashbrown::HashSet<u8>>());
        assert!(is_hash_set::<indexmap::IndexSet<u8>>());
    }

    #[test]
    fn a_hash_set_is_recognised_behind_what_serializes_as_its_content() {
        assert!(is_hash_set::<&HashSet<u8>>());
        assert!(is_hash_set::<&&mut HashSet<u8>>());
        assert!(is_hash_set::<Box<HashSet<u8>>>());
        assert!(is_hash_set::<Rc<HashSet<u8>>>());
        assert!(is_hash_set::<&Arc<Box<&HashSet<u8>>>>());
        assert!(is_hash_set::<Cow<'static, HashSet<u8>>>());
        assert!(is_hash_set::<RefCell<HashSet<u8>>>());
        assert!(is_hash_set::<Arc<Mutex<HashSet<u8>>>>());
        assert!(is_hash_set::<Arc<RwLock<HashSet<u8>>>>());
    }

    #[test]
    fn what_has_an_order_or_only_holds_a_hash_set_is_none() {
        struct HashSet2<T>(std::marker::PhantomData<T>);
        assert!(!is_hash_set::<BTreeSet<u8>>());
        assert!(!is_hash_set::<Vec<HashSet<u8>>>());
        assert!(!is_hash_set::<(HashSet<u8>, u8)>());
        assert!(!is_hash_set::<HashMap<u8, HashSet<u8>>>());
        assert!(!is_hash_set::<Option<HashSet<u8>>>());
        assert!(!is_hash_set::<HashSet2<u8>>());
        assert!(!is_hash_set::<[HashSet<u8>]>());
        assert!(!is_hash_set::<u8>());
        assert!(!super::is_hash_set(""));
    }

    #[test]
    fn an_array_is_told_from_a_tuple() {
        assert!(is_array::<[u8; 1]>());
        assert!(is_array::<&Box<[HashSet<u8>; 3]>>());
        assert!(!is_array::<(u8,)>());
        assert!(!is_array::<Arc<([u8; 1], u8)>>());
        assert!(!is_array::<Vec<[u8; 1]>>());
    }
}
