//! Email.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use flowkit::Secret;
use futures::FutureExt;
use futures::future::BoxFuture;
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, MessageBuilder};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, TlsParameters};
use lettre::transport::smtp::response::Severity;
use lettre::{Address, Message};

use super::smtp::{Refusal, Refused, Smtp, Tls};
use super::{Alert, Channel, Failure};
use crate::error::{Error, ErrorKind, Result};
use crate::text::cut;

/// Subjects are no longer than this, so that lists of emails show them.
const LONGEST_SUBJECT: usize = 150;

/// How the connection to a mail server is encrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Encryption {
    /// It begins in the clear and must be encrypted before anything is said (`STARTTLS`, port 587).
    #[default]
    StartTls,
    /// From the beginning (port 465).
    Tls,
    /// Not at all (port 25): for a server on this machine, or on a network that one trusts. Credentials are not sent.
    None,
}

/// Emails, by SMTP.
///
/// Those whom the mail server takes get the alert, also where it refuses others. Whom it refuses for now is tried again without telling the others once more. An alert that some got counts as
/// delivered, and its [record](super::AlertRecord::error) says who did not get it.
#[derive(Clone)]
pub struct Email {
    server: String,
    port: Option<u16>,
    encryption: Encryption,
    from: Mailbox,
    to: Vec<Mailbox>,
    credentials: Option<(String, Secret<String>)>,
    root: Option<Certificate>,
    told: Arc<Mutex<Told>>,
}

/// Who got the present alert in earlier attempts.
#[derive(Default)]
struct Told {
    message_id: String,
    those: Vec<Address>,
}

impl Email {
    /// By this server, from one address to others: `ops@farm.example`, `Farm <etl@farm.example>`.
    ///
    /// # Errors
    /// When one is no address, or there is nobody to write to.
    pub fn new<T: AsRef<str>>(
        server: impl Into<String>,
        from: &str,
        to: impl IntoIterator<Item = T>,
    ) -> Result<Self> {
        let to = to
            .into_iter()
            .map(|to| mailbox(to.as_ref()))
            .collect::<Result<Vec<_>>>()?;
        if to.is_empty() {
            return Err(Error::new(ErrorKind::Options, "an email needs somebody to go to"));
        }
        Ok(Self {
            server: server.into(),
            port: None,
            encryption: Encryption::default(),
            from: mailbox(from)?,
            to,
            credentials: None,
            root: None,
            told: Arc::default(),
        })
    }

    /// How the connection is encrypted; [`Encryption::StartTls`] unless said otherwise.
    #[must_use]
    pub fn encryption(mut self, encryption: Encryption) -> Self {
        self.encryption = encryption;
        self
    }

    /// The server's port, if it is not the usual one of the encryption.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// What lets one in.
    #[must_use]
    pub fn credentials(mut self, user: impl Into<String>, password: impl Into<Secret<String>>) -> Self {
        self.credentials = Some((user.into(), password.into()));
        self
    }

    /// Trusts this certificate too, beside those that the system does: that of a server of your own, as PEM.
    ///
    /// # Errors
    /// When it is none.
    pub fn root_certificate(mut self, pem: &[u8]) -> Result<Self> {
        let certificate = Certificate::from_pem(pem).map_err(|error| {
            Error::new(ErrorKind::Options, "this is no certificate in PEM").because(error)
        })?;
        self.root = Some(certificate);
        Ok(self)
    }

    fn smtp(&self) -> Result<Smtp> {
        crate::tls::provide();
        let (tls, usual) = match self.encryption {
            Encryption::None => (Tls::None, 25),
            Encryption::StartTls => (Tls::Start(self.tls()?), 587),
            Encryption::Tls => (Tls::Whole(self.tls()?), 465),
        };
        if self.credentials.is_some() && self.encryption == Encryption::None {
            let message =
                "a password is not sent in the clear: use `Encryption::StartTls` or `Encryption::Tls`";
            return Err(Error::new(ErrorKind::Options, message));
        }
        let credentials = self.credentials.as_ref();
        Ok(Smtp {
            server: self.server.clone(),
            port: self.port.unwrap_or(usual),
            tls,
            credentials: credentials
                .map(|(user, password)| Credentials::new(user.clone(), password.expose_secret().clone())),
        })
    }

    fn tls(&self) -> Result<TlsParameters> {
        let mut parameters = TlsParameters::builder(self.server.clone());
        if let Some(root) = &self.root {
            parameters = parameters.add_root_certificate(root.clone());
        }
        parameters.build().map_err(|error| {
            let message = format!("no encrypted connection can be made to {}", self.server);
            Error::new(ErrorKind::Options, message).because(error)
        })
    }

    fn message(&self, alert: &Alert, id: &str) -> Result<Message> {
        let to = |message: MessageBuilder, to: &Mailbox| message.to(to.clone());
        self.to
            .iter()
            .fold(Message::builder().from(self.from.clone()), to)
            .message_id(Some(id.to_owned()))
            .subject(subject(alert))
            .header(ContentType::TEXT_PLAIN)
            .body(format!("{}\n\n{}\n", alert.title(), alert.text()))
            .map_err(|error| Error::new(ErrorKind::Format, "the alert cannot be an email").because(error))
    }

    /// The same for each attempt, so that whoever got it twice can know.
    fn message_id(&self, alert: &Alert) -> String {
        let mut hasher = DefaultHasher::new();
        (
            &alert.rule,
            &alert.subject,
            alert.status,
            alert.flow_run,
            alert.at,
        )
            .hash(&mut hasher);
        format!("<flowkit.{:016x}@{}>", hasher.finish(), self.from.email.domain())
    }

    /// Those who have not got it yet.
    fn left(&self, message_id: &str) -> Vec<Address> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.message_id != message_id {
            *told = Told {
                message_id: message_id.to_owned(),
                those: Vec::new(),
            };
        }
        let to = self.to.iter().map(|to| &to.email);
        to.filter(|to| !told.those.contains(to)).cloned().collect()
    }

    /// Remembers who got it now, if another attempt may be for the others. Whether anybody has got it by now.
    fn got(&self, those: impl Iterator<Item = Address>) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.those.extend(those);
        let anybody = !told.those.is_empty();
        if told.those.len() == self.to.len() {
            *told = Told::default();
        }
        anybody
    }

    /// Whom the server does not take. Another attempt may succeed where it may for one of them.
    fn refusal(&self, refused: &[Refused]) -> Error {
        let mut kind = ErrorKind::Options;
        let mut answers = Vec::new();
        for Refused { to, why } in refused {
            answers.push(match why {
                Refusal::Answer(code) => {
                    if code.severity == Severity::TransientNegativeCompletion {
                        kind = ErrorKind::Unavailable;
                    }
                    format!("{code} to {to}")
                }
                Refusal::Letters => format!("that it knows no such letters to {to}"),
            });
        }
        let message = format!("the mail server {} answers {}", self.server, answers.join(", "));
        Error::new(kind, message)
    }

    /// What went wrong, by what can be done about it. What the server says is left out, since it may repeat what it was told.
    fn failure(&self, error: &lettre::transport::smtp::Error) -> Error {
        let server = &self.server;
        if let Some(code) = error.status() {
            let kind = match (error.is_permanent(), u16::from(code)) {
                (true, 530 | 534 | 535 | 538) => ErrorKind::Access,
                (true, _) => ErrorKind::Options,
                (false, _) => ErrorKind::Unavailable,
            };
            return Error::new(kind, format!("the mail server {server} answers {code}"));
        }
        if error.is_client() {
            let message = format!(
                "the mail server {server} does not offer what is asked of it: encryption, or a way to log in"
            );
            return Error::new(ErrorKind::Options, message);
        }
        let cause = causes(error);
        Error::new(
            ErrorKind::Unavailable,
            format!("the mail server {server} cannot be reached"),
        )
        .because(cause)
    }
}

/// What is beneath an error of the connection; of an answer that cannot be read nothing, since that quotes what the server said.
fn causes(error: &lettre::transport::smtp::Error) -> String {
    let mut cause = std::error::Error::source(error).filter(|_| !error.is_response());
    let mut words = vec![
        if error.is_tls() {
            "its encryption"
        } else {
            "the connection"
        }
        .to_owned(),
    ];
    while let Some(error) = cause {
        words.push(error.to_string());
        cause = error.source();
    }
    words.join(": ")
}

fn mailbox(address: &str) -> Result<Mailbox> {
    address.parse().map_err(|error: lettre::address::AddressError| {
        Error::new(
            ErrorKind::Options,
            format!("{address:?} is no address of an email"),
        )
        .because(error)
    })
}

/// One line, since whatever is in an error may be in the title.
fn subject(alert: &Alert) -> String {
    let line = alert.title().split_whitespace().collect::<Vec<_>>().join(" ");
    cut(&line, LONGEST_SUBJECT)
}

impl Channel for Email {
    fn check(&self) -> Result<()> {
        self.smtp().map(drop)
    }

    fn send<'a>(&'a self, alert: &'a Alert) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            let id = self.message_id(alert);
            let (smtp, message, to) = (self.smtp()?, self.message(alert, &id)?, self.left(&id));
            let sent = smtp.send(&self.from.email, &to, &message.formatted()).await;
            let refused = sent.map_err(|error| self.failure(&error))?;
            let is_refused = |to: &Address| refused.iter().any(|refused| refused.to == *to);
            let partly = self.got(to.into_iter().filter(|to| !is_refused(to)));
            match refused.is_empty() {
                true => Ok(()),
                false => Err(Failure {
                    partly,
                    ..self.refusal(&refused).into()
                }),
            }
        }
        .boxed()
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Email")
            .field("server", &self.server)
            .field("encryption", &self.encryption)
            .field("from", &self.from)
            .field("to", &self.to)
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}
