//! Which types are hash sets. serde shows a set and a list alike, but the serializer sees the names of their types.
//!
//! The name only selects how a sequence is read, and is no part of the form. A set that is not recognised keeps the order of its
//! iteration, which costs misses and never a wrong hit.

/// Whether this is the name of a hash set of the standard library, of hashbrown or of indexmap, behind any references, boxes,
/// shared pointers and cells, all of which serialize as what they hold.
pub(super) fn is_hash_set(type_name: &str) -> bool {
    let mut name = type_name;
    loop {
        while let Some(referent) = name.strip_prefix('&') {
            name = referent.strip_prefix("mut ").unwrap_or(referent);
        }
        let Some((path, parameters)) = name.split_once('<') else { return false };
        let (package, _) = path.split_once("::").unwrap_or((path, ""));
        let (_, own) = path.rsplit_once("::").unwrap_or(("", path));
        match (package, own) {
            ("std" | "hashbrown", "HashSet") | ("indexmap", "IndexSet") => return true,
            ("alloc", "Box" | "Rc" | "Arc" | "Cow") | ("core", "RefCell") | ("std", "Mutex" | "RwLock") => {
                name = parameters.strip_prefix("'_, ").unwrap_or(parameters);
            }
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::any::type_name;
    use std::borrow::Cow;
    use std::cell::RefCell;
    use std::collections::{BTreeSet, HashMap, HashSet};
    use std::rc::Rc;
    use std::sync::{Arc, Mutex, RwLock};

    use super::is_hash_set;

    fn seen<T: ?Sized>() -> bool {
        is_hash_set(type_name::<T>())
    }

    #[test]
    fn the_hash_sets_of_three_crates_are_recognised() {
        assert!(seen::<HashSet<u8>>());
        assert!(seen::<HashSet<Vec<String>, std::hash::BuildHasherDefault<std::hash::DefaultHasher>>>());
        assert!(seen::<hashbrown::HashSet<u8>>());
        assert!(seen::<indexmap::IndexSet<u8>>());
    }

    #[test]
    fn a_hash_set_is_recognised_behind_what_serializes_as_its_content() {
        assert!(seen::<&HashSet<u8>>());
        assert!(seen::<&&mut HashSet<u8>>());
        assert!(seen::<Box<HashSet<u8>>>());
        assert!(seen::<Rc<HashSet<u8>>>());
        assert!(seen::<&Arc<Box<&HashSet<u8>>>>());
        assert!(seen::<Cow<'static, HashSet<u8>>>());
        assert!(seen::<RefCell<HashSet<u8>>>());
        assert!(seen::<Arc<Mutex<HashSet<u8>>>>());
        assert!(seen::<Arc<RwLock<HashSet<u8>>>>());
    }

    #[test]
    fn what_has_an_order_or_only_holds_a_hash_set_is_none() {
        struct HashSet2<T>(std::marker::PhantomData<T>);
        assert!(!seen::<BTreeSet<u8>>());
        assert!(!seen::<Vec<HashSet<u8>>>());
        assert!(!seen::<(HashSet<u8>, u8)>());
        assert!(!seen::<HashMap<u8, HashSet<u8>>>());
        assert!(!seen::<Option<HashSet<u8>>>());
        assert!(!seen::<HashSet2<u8>>());
        assert!(!seen::<[HashSet<u8>]>());
        assert!(!seen::<u8>());
        assert!(!is_hash_set(""));
    }
}
