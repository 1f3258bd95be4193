//! A task's visibility is that of its shim, its companion, and what the companion holds.
#![deny(
    unreachable_pub,
    missing_docs,
    missing_debug_implementations,
    dead_code,
    unused
)]

mod outer {
    pub(crate) mod inner {
        use flowkit::prelude::*;

        /// For the crate.
        #[task(cache, cache_includes(helper))]
        #[inline]
        pub(crate) async fn in_crate(n: u8) -> u8 {
            helper(n)
        }

        /// For the module above.
        #[task]
        pub(super) async fn in_super(n: u8) -> u8 {
            n
        }

        /// For a module by its path.
        #[task]
        pub(in crate::pass::visibility::outer) async fn in_outer(n: u8) -> u8 {
            n
        }

        /// For nobody else.
        #[task]
        async fn private(n: u8) -> u8 {
            n
        }

        /// Counted by others.
        #[flowkit::fingerprint]
        fn helper(n: u8) -> u8 {
            n
        }

        #[flow]
        pub(crate) async fn all(n: u8) -> Result<u8> {
            Ok(private(in_crate(n)).await?)
        }
    }

    pub(crate) fn names() -> [&'static str; 3] {
        let _ = (inner::in_super(1), inner::in_outer(1));
        [
            inner::in_crate::NAME,
            inner::in_super::NAME,
            inner::in_outer::DEFINITION.name(),
        ]
    }
}

use outer::inner::in_crate;

pub(crate) fn main() {
    assert_eq!(outer::names(), ["in_crate", "in_super", "in_outer"]);
    let _ = in_crate(1);
    let _ = outer::inner::all(1);
    drop(in_crate::unorchestrated(1));
}
