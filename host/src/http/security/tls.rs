//! TLS for the server's connections.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

use crate::files::{self, FileError, Guard};

/// An upper bound that no certificate chain exceeds.
const MAX_PEM_BYTES: u64 = 1 << 20;

/// A socket that accepts connections, with or without TLS.
pub struct Listener {
    pub(crate) tcp: TcpListener,
    pub(crate) tls: Option<Tls>,
}

/// A certificate and its private key for TLS 1.2 and 1.3, which can be replaced while
/// the server runs. Cloning is cheap, and clones share replacements.
#[derive(Clone)]
pub struct Tls {
    files: Arc<Files>,
    config: Arc<RwLock<Arc<ServerConfig>>>,
}

struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

/// Reasons why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate file cannot be read, or other users may change it.
    #[error("the certificate {0}")]
    CertificateFile(FileError),
    /// The file of the key cannot be read, or others have a hand in it.
    #[error("the private key {0}")]
    KeyFile(FileError),
    /// The certificate file is not PEM.
    #[error("the certificate {path}: {error}", path = .path.display())]
    Certificate {
        /// Path of the file.
        path: PathBuf,
        /// The error of the PEM parser.
        error: pem::Error,
    },
    /// The file contains no certificate.
    #[error("the certificate {0}: the file contains no certificate")]
    NoCertificate(String),
    /// The key file is not PEM, or contains no private key.
    #[error("the private key {path}: {error}", path = .path.display())]
    Key {
        /// Path of the file.
        path: PathBuf,
        /// The error of the PEM parser.
        error: pem::Error,
    },
    /// The certificate and the key do not match, or are of an unsupported kind.
    #[error("the certificate {certificate} and the private key {key}: {error}",
        certificate = .certificate.display(), key = .key.display())]
    Pair {
        /// Path of the certificate file.
        certificate: PathBuf,
        /// Path of the key file.
        key: PathBuf,
        /// The error of the TLS library.
        error: rustls::Error,
    },
}

impl From<TcpListener> for Listener {
    /// Returns a listener for plain HTTP.
    fn from(tcp: TcpListener) -> Self {
        Self { tcp, tls: None }
    }
}

impl Listener {
    /// Returns a listener for HTTP over TLS.
    pub fn with_tls(tcp: TcpListener, tls: Tls) -> Self {
        Self {
            tcp,
            tls: Some(tls),
        }
    }
}

impl Tls {
    /// Reads a certificate chain and its private key, both in PEM.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let files = Files {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
        };
        let config = files.read()?;
        Ok(Self {
            files: Arc::new(files),
            config: Arc::new(RwLock::new(config)),
        })
    }

    /// Reads both files again, for new connections. After an error the previous
    /// certificate stays in use.
    pub fn reload(&self) -> Result<(), TlsError> {
        let config = self.files.read()?;
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    fn acceptor(&self) -> TlsAcceptor {
        let config = self.config.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&config).into()
    }
}

impl Files {
    fn read(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let wrong_certificate = |error| TlsError::Certificate {
            path: self.certificate.clone(),
            error,
        };
        let text = files::read(&self.certificate, Guard::Trusted, MAX_PEM_BYTES)
            .map_err(TlsError::CertificateFile)?;
        let chain = CertificateDer::pem_slice_iter(&text);
        let chain: Vec<_> = chain.collect::<Result<_, _>>().map_err(wrong_certificate)?;
        if chain.is_empty() {
            let path = self.certificate.display().to_string();
            return Err(TlsError::NoCertificate(path));
        }
        let text =
            files::read(&self.key, Guard::Secret, MAX_PEM_BYTES).map_err(TlsError::KeyFile)?;
        let key = PrivateKeyDer::from_pem_slice(&text).map_err(|error| TlsError::Key {
            path: self.key.clone(),
            error,
        })?;
        let config = server_config(chain, key).map_err(|error| TlsError::Pair {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            error,
        })?;
        Ok(Arc::new(config))
    }
}

fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, rustls::Error> {
    // This also checks that the certificate and the key match.
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Completes the TLS handshake within the time limit, if TLS is on, and returns the
/// stream for HTTP.
pub(crate) async fn secure<S>(
    tls: Option<&Tls>,
    stream: S,
    limit: Duration,
) -> io::Result<Either<S, Box<TlsStream<S>>>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Some(tls) = tls else {
        return Ok(Either::Left(stream));
    };
    match timeout(limit, tls.acceptor().accept(stream)).await {
        Ok(accepted) => Ok(Either::Right(Box::new(accepted?))),
        Err(_) => {
            let reason = "the client did not finish the TLS handshake in time";
            Err(io::Error::new(io::ErrorKind::TimedOut, reason))
        }
    }
}
