//! What a store said against something: what can be done about it, without what nobody should see.

use crate::error::{Error, ErrorKind};
use crate::object::Bucket;

/// What stores say when they do not let one in.
const LOCKED: [&str; 11] = [
    "AccessDenied",
    "AuthenticationFailed",
    "AuthorizationHeaderMalformed",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidSecurity",
    "InvalidToken",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
    // Whatever they call it: of a list, only the text has the status.
    "status code: 401",
    "status code: 403",
];
/// What stores say when there is no such bucket.
const NO_BUCKET: [&str; 3] = [
    "NoSuchBucket",
    "ContainerNotFound",
    "The specified bucket does not exist",
];
/// Where a program on a machine of Amazon's, Microsoft's or Google's is told its credentials. Elsewhere nobody answers.
const MACHINE: [&str; 5] = [
    "/latest/api/token",
    "/latest/meta-data/",
    "169.254.170.2",
    "/metadata/identity/",
    "/computeMetadata/",
];

impl Bucket {
    /// What the store said against doing something with what is called so.
    pub(crate) fn failed(&self, doing: &str, what: &str, error: &object_store::Error) -> Error {
        use object_store::Error as Of;
        let text = error.to_string();
        let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
        let (kind, advice) = match error {
            _ if is_without_bucket(error) => (ErrorKind::NotFound, ": there is no such bucket".to_owned()),
            _ if says(&MACHINE) => (
                ErrorKind::Access,
                format!(": the environment has no credentials: set {}", self.variables()),
            ),
            Of::PermissionDenied { .. } | Of::Unauthenticated { .. } => (ErrorKind::Access, self.locked()),
            _ if says(&LOCKED) => (ErrorKind::Access, self.locked()),
            Of::NotFound { .. } => (ErrorKind::NotFound, ": it is not there".to_owned()),
            Of::AlreadyExists { .. } | Of::Precondition { .. } => (ErrorKind::Conflict, String::new()),
            Of::InvalidPath { .. }
            | Of::NotSupported { .. }
            | Of::NotImplemented { .. }
            | Of::UnknownConfigurationKey { .. } => (ErrorKind::Options, String::new()),
            _ if text.contains("incorrectly configured region") => (
                ErrorKind::Options,
                ": the bucket is in another region: set AWS_REGION to it".to_owned(),
            ),
            _ => (ErrorKind::Unavailable, String::new()),
        };
        Error::new(kind, format!("cannot {doing} {what}{advice}")).because(said(&text))
    }

    fn locked(&self) -> String {
        format!(": the store does not let one in: look at {}", self.variables())
    }

    /// The variables that let one in.
    fn variables(&self) -> &'static str {
        match self.shown().to_string_lossy().split_once("://") {
            Some(("gs", _)) => "GOOGLE_APPLICATION_CREDENTIALS",
            Some(("az", _)) => "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
            _ => {
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (AWS_SESSION_TOKEN, AWS_REGION, AWS_ENDPOINT_URL)"
            }
        }
    }
}

/// Whether a store says that there is no such bucket.
pub(super) fn is_without_bucket(error: &object_store::Error) -> bool {
    let text = error.to_string();
    NO_BUCKET.iter().any(|word| text.contains(word))
}

/// What a store said. Of the answers of servers only the code and the message are kept: some answer with all that was sent to them, a session's token among it.
fn said(text: &str) -> String {
    let end = text.find(['<', '{']).unwrap_or(text.len());
    let (head, body) = text.split_at(end);
    let mut said = head.trim_end_matches([' ', ':', '-']).to_owned();
    for name in ["Code", "Message"] {
        if let Some(value) = element(body, name) {
            // Azure's further lines are the number and the time of the request.
            let line = value.lines().next().unwrap_or_default();
            said.push_str(": ");
            said.extend(line.chars().take(200));
        }
    }
    said
}

/// The text of an element of XML.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, after) = xml.split_once(&format!("<{name}>"))?;
    after.split_once('<').map(|(text, _)| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_a_server_answers_only_its_code_and_its_message_are_shown() {
        let text = "Generic S3 error: Error performing GET http://a/b in 1ms - Server returned non-2xx status code: 403 Forbidden: <?xml version=\"1.0\"?>\
            <Error><Code>SignatureDoesNotMatch</Code><Message>They differ.</Message><CanonicalRequest>x-amz-security-token:hunter2</CanonicalRequest></Error>";
        let said = said(text);
        assert!(
            said.ends_with("403 Forbidden: SignatureDoesNotMatch: They differ."),
            "{said}"
        );
        assert!(!said.contains("hunter2"), "{said}");
        let text = "403 Forbidden: <Error><Code>AuthenticationFailed</Code><Message>It is not signed.\nRequestId:1\nTime:2013-02-04</Message>\
            <AuthenticationErrorDetail>The MAC was hunter2</AuthenticationErrorDetail></Error>";
        assert_eq!(
            super::said(text),
            "403 Forbidden: AuthenticationFailed: It is not signed."
        );
    }
}
