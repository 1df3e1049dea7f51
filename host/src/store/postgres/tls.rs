//! TLS to the server, as its URL demands.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::files::{self, Guard};

/// The root certificates of a whole system take half a mebibyte.
const MAX_PEM_BYTES: u64 = 4 << 20;

/// The checks of the server's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verify {
    /// No check: an attacker on the network may impersonate the server.
    Nothing,
    /// One of the roots has signed it, for any name.
    Chain,
    /// One of the roots has signed it, for the name in the URL.
    Full,
}

/// The trusted root certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Roots {
    /// The roots that the system trusts.
    System,
    /// The certificates in this PEM file.
    File(PathBuf),
}

/// The protection of a connection, or `None` for plain text.
pub(super) type Tls = Option<(Verify, Roots)>;

/// Returns the connector for TLS, or `None` for plain text.
pub(super) fn connector(tls: &Tls) -> Result<Option<MakeRustlsConnect>, String> {
    let Some((verify, roots)) = tls else {
        return Ok(None);
    };
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let config = match verify {
        Verify::Full => builder.with_root_certificates(read(roots)?),
        Verify::Chain => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyName {
                roots: Some(read(roots)?),
                provider,
            })),
        Verify::Nothing => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyName {
                roots: None,
                provider,
            })),
    };
    Ok(Some(MakeRustlsConnect::new(config.with_no_client_auth())))
}

fn read(roots: &Roots) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    match roots {
        Roots::System => {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if store.is_empty() {
                return Err(
                    "the system has no root certificates for TLS to PostgreSQL; name \
                            a file of them with `sslrootcert=FILE` in the URL"
                        .into(),
                );
            }
        }
        Roots::File(path) => read_file(path, &mut store)?,
    }
    Ok(store)
}

fn read_file(path: &Path, store: &mut RootCertStore) -> Result<(), String> {
    let text = files::read(path, Guard::Trusted, MAX_PEM_BYTES)
        .map_err(|error| format!("the file of sslrootcert {error}"))?;
    let flawed = |flaw: String| format!("the file {} of sslrootcert {flaw}", path.display());
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate =
            certificate.map_err(|error| flawed(format!("cannot be read: {error}")))?;
        let added = store.add(certificate);
        added.map_err(|error| flawed(format!("contains an unusable certificate: {error}")))?;
    }
    if store.is_empty() {
        Err(flawed("contains no certificate".to_owned()))
    } else {
        Ok(())
    }
}

/// Accepts certificates for any name: those signed by one of the roots or, without
/// roots, all.
#[derive(Debug)]
struct AnyName {
    roots: Option<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(roots) = &self.roots {
            verify_server_cert_signed_by_trust_anchor(
                &ParsedCertificate::try_from(certificate)?,
                roots,
                intermediates,
                now,
                self.provider.signature_verification_algorithms.all,
            )?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
