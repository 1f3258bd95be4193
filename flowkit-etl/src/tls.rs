//! What encrypts connections, of which there must be one for the process.

/// Sees to it that there is one. If the program chose one, it is that.
pub(crate) fn provide() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        drop(rustls::crypto::ring::default_provider().install_default());
    }
}
