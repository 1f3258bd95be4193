//! A task's fingerprint is that of its code, wherever it stands and however it is laid out.

mod plain {
    #[flowkit::task]
    pub(crate) async fn double(n: u64) -> u64 {
        n * 2
    }
}

#[rustfmt::skip]
mod laid_out {
    /// Twice.
    #[flowkit::task(cache, timeout = "1s")]
    #[allow(clippy::unused_async)]
    async fn double( n:u64 )->u64{ /* twice */ n*2 }

    pub(crate) const FINGERPRINT: &str = double::DEFINITION.fingerprint();
}

mod passed_on {
    macro_rules! whole {
        ($($item:tt)*) => {
            #[flowkit::task]
            $($item)*
        };
    }

    whole! { async fn double(n: u64) -> u64 { n * 2 } }

    pub(crate) const FINGERPRINT: &str = double::DEFINITION.fingerprint();
}

mod changed {
    #[flowkit::task]
    async fn double(n: u64) -> u64 {
        n * 3
    }

    pub(crate) const FINGERPRINT: &str = double::DEFINITION.fingerprint();
}

pub(crate) fn main() {
    let plain = plain::double::DEFINITION.fingerprint();
    assert_eq!(plain, "d3e44a9326a2a5fdb3cf7450ddd3e3f8");
    assert_eq!(plain, laid_out::FINGERPRINT);
    assert_eq!(plain, passed_on::FINGERPRINT);
    assert_ne!(plain, changed::FINGERPRINT);
}
