//! One conversation with a mail server, which goes on without the recipients that the server refuses.

use std::time::Duration;

use lettre::Address;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use lettre::transport::smtp::response::Code;
use tokio::time::timeout;

/// So long is a connection waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// So long is the end of a conversation waited for, which changes nothing.
const GOODBYE: Duration = Duration::from_secs(2);

/// How a connection is encrypted.
pub(super) enum Tls {
    None,
    /// After the beginning, in any case.
    Start(TlsParameters),
    Whole(TlsParameters),
}

/// Where a mail server is, and what lets one in.
pub(super) struct Smtp {
    pub(super) server: String,
    pub(super) port: u16,
    pub(super) tls: Tls,
    pub(super) credentials: Option<Credentials>,
}

/// A recipient that the server does not take.
pub(super) struct Refused {
    pub(super) to: Address,
    pub(super) why: Refusal,
}

/// Why it does not.
#[derive(Clone, Copy)]
pub(super) enum Refusal {
    /// It answers so.
    Answer(Code),
    /// It takes no addresses with other letters than those of ASCII.
    Letters,
}

impl Smtp {
    /// Sends an email to all recipients that the server takes. If it takes none, nothing is sent.
    ///
    /// # Errors
    /// When the server cannot be spoken to, or refuses the email whoever it is for.
    pub(super) async fn send(
        &self,
        from: &Address,
        to: &[Address],
        email: &[u8],
    ) -> Result<Vec<Refused>, Error> {
        let mut connection = self.connect().await?;
        let sent = converse(&mut connection, from, to, email).await;
        // Whether it was sent is known, however slowly the server says goodbye.
        drop(tokio::spawn(
            async move { timeout(GOODBYE, connection.abort()).await },
        ));
        sent
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Error> {
        let (name, address) = (ClientId::default(), (self.server.as_str(), self.port));
        let whole = match &self.tls {
            Tls::Whole(tls) => Some(tls.clone()),
            Tls::None | Tls::Start(_) => None,
        };
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(address, Some(PATIENCE), &name, whole, None).await?;
        if let Tls::Start(tls) = &self.tls {
            connection.starttls(tls.clone(), &name).await?;
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials).await?;
        }
        Ok(connection)
    }
}

async fn converse(
    connection: &mut AsyncSmtpConnection,
    from: &Address,
    to: &[Address],
    email: &[u8],
) -> Result<Vec<Refused>, Error> {
    let is_plain = |address: &Address| AsRef::<str>::as_ref(address).is_ascii();
    let offered = connection.server_info();
    let any_letters = offered.supports_feature(Extension::SmtpUtfEight);
    let mut parameters = Vec::new();
    if any_letters && !(is_plain(from) && to.iter().all(is_plain)) {
        parameters.push(MailParameter::SmtpUtfEight);
    }
    if !email.is_ascii() && offered.supports_feature(Extension::EightBitMime) {
        parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    connection
        .command(Mail::new(Some(from.clone()), parameters))
        .await?;
    let mut refused = Vec::new();
    for to in to {
        let why = match any_letters || is_plain(to) {
            true => asked(connection, to).await?,
            false => Some(Refusal::Letters),
        };
        refused.extend(why.map(|why| Refused { to: to.clone(), why }));
    }
    if refused.len() < to.len() {
        connection.command(Data).await?;
        connection.message(email).await?;
    }
    Ok(refused)
}

/// Whether the server takes a recipient. After an answer that it does not, it can be asked for others.
async fn asked(connection: &mut AsyncSmtpConnection, to: &Address) -> Result<Option<Refusal>, Error> {
    match connection.command(Rcpt::new(to.clone(), Vec::new())).await {
        Ok(_) => Ok(None),
        Err(error) => match error.status() {
            Some(code) => Ok(Some(Refusal::Answer(code))),
            None => Err(error),
        },
    }
}
