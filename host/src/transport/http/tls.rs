//! TLS on the connections of the server.

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

/// No chain of certificates is longer.
const MAX_PEM_BYTES: u64 = 1 << 20;

/// Where the server takes connections, and whether it speaks TLS on them.
pub struct Listener {
    pub(super) tcp: TcpListener,
    pub(super) tls: Option<Tls>,
}

/// A certificate and its key, which can be replaced while the server runs. TLS 1.2
/// and 1.3. Cheap to clone; the clones share what is replaced.
#[derive(Clone)]
pub struct Tls {
    files: Arc<Files>,
    config: Arc<RwLock<Arc<ServerConfig>>>,
}

struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file of the certificate cannot be read, or others have a hand in it.
    #[error("the certificate {0}")]
    CertificateFile(FileError),
    /// The file of the key cannot be read, or others have a hand in it.
    #[error("the private key {0}")]
    KeyFile(FileError),
    /// The file is not PEM.
    #[error("the certificate {path}: {error}", path = .path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: pem::Error,
    },
    /// The file holds something else.
    #[error("the certificate {0}: there is none in the file")]
    NoCertificate(String),
    /// The file is not PEM, or holds no private key.
    #[error("the private key {path}: {error}", path = .path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: pem::Error,
    },
    /// They do not belong together, or are of a kind that nobody takes.
    #[error("the certificate {certificate} and the private key {key}: {error}",
        certificate = .certificate.display(), key = .key.display())]
    Pair {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// What is wrong with them.
        error: rustls::Error,
    },
}

impl From<TcpListener> for Listener {
    /// Plain HTTP.
    fn from(tcp: TcpListener) -> Self {
        Self { tcp, tls: None }
    }
}

impl Listener {
    /// HTTP over TLS.
    pub fn with_tls(tcp: TcpListener, tls: Tls) -> Self {
        Self {
            tcp,
            tls: Some(tls),
        }
    }
}

impl Tls {
    /// Reads the certificate, with those that lead to its root, and its private key,
    /// both in PEM.
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

    /// Reads both files again, for connections from now on. After an error all stays
    /// as it is.
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
    // Whether they belong together is checked as well.
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// The connection as HTTP is spoken on it: over TLS if there is any, once both sides
/// have agreed, for which they have this long.
pub(super) async fn secure<S>(
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
