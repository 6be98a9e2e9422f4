//! Names in requests and certificates: the subject (RFC 4514, RFC 5280) and its alternative names.

use super::{PkiError, error::encoding};
use const_oid::db::{rfc3280, rfc4519};
use der::{
    Tag,
    asn1::{Any, Ia5String, ObjectIdentifier},
};
use std::{fmt, net::IpAddr, str::FromStr};
use x509_cert::{
    attr::AttributeTypeAndValue,
    ext::pkix::{self, name::GeneralName},
    name::{Name, RdnSequence, RelativeDistinguishedName},
};

/// A subject such as `CN=web.example,O=Example,C=DE`; displays again as it was written.
///
/// As RFC 4514 has it, the first part of the text is the last of the encoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject(Name);

impl Subject {
    pub(super) fn as_name(&self) -> &Name {
        &self.0
    }
}

impl From<Name> for Subject {
    fn from(name: Name) -> Self {
        Self(name)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Subject {
    type Err = PkiError;

    fn from_str(text: &str) -> Result<Self, PkiError> {
        let parts: Result<Vec<_>, _> = split_unescaped(text, b',').into_iter().rev().map(relative_name).collect();
        let parts = parts.map_err(|cause| malformed(text, DISTINGUISHED_NAME, cause))?;
        Ok(Self(Name::hazmat_from_rdn_sequence(RdnSequence::from(parts))))
    }
}

/// A name beside the subject (RFC 5280, section 4.2.1.6): `dns:…`, `email:…`, `ip:…` or `uri:…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubjectAltName {
    /// A host, perhaps with `*` as its first label.
    Dns(String),
    /// A mailbox.
    Email(String),
    /// An IPv4 or IPv6 address.
    Ip(IpAddr),
    /// An absolute URI.
    Uri(String),
}

impl SubjectAltName {
    /// Reads `dns:a.example,ip:192.0.2.1`. A comma separates only before another name: URIs have commas too.
    ///
    /// # Errors
    /// [`PkiError::NameMalformed`] for the first name that does not parse.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, PkiError> {
        let mut names: Vec<String> = Vec::new();
        for part in text.split(',') {
            let begins_a_name = KINDS.iter().any(|kind| part.trim_start().starts_with(kind));
            match names.last_mut() {
                Some(last) if !begins_a_name => *last = format!("{last},{part}"),
                _ => names.push(part.to_owned()),
            }
        }
        names.iter().map(|name| name.trim().parse()).collect()
    }

    fn to_general_name(&self) -> Result<GeneralName, PkiError> {
        let ascii = |text: &str| Ia5String::new(text).map_err(|cause| encoding("subject alternative name", cause));
        Ok(match self {
            Self::Dns(host) => GeneralName::DnsName(ascii(host)?),
            Self::Email(mailbox) => GeneralName::Rfc822Name(ascii(mailbox)?),
            Self::Ip(address) => GeneralName::from(*address),
            Self::Uri(uri) => GeneralName::UniformResourceIdentifier(ascii(uri)?),
        })
    }

    /// The name as keyward has it; none for the kinds that keyward does not write.
    pub(super) fn from_general_name(name: &GeneralName) -> Option<Self> {
        match name {
            GeneralName::DnsName(host) => Some(Self::Dns(host.as_str().to_owned())),
            GeneralName::Rfc822Name(mailbox) => Some(Self::Email(mailbox.as_str().to_owned())),
            GeneralName::UniformResourceIdentifier(uri) => Some(Self::Uri(uri.as_str().to_owned())),
            GeneralName::IpAddress(octets) => address_from_octets(octets.as_bytes()).map(Self::Ip),
            _ => None,
        }
    }
}

impl fmt::Display for SubjectAltName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(host) => write!(f, "{DNS}{host}"),
            Self::Email(mailbox) => write!(f, "{EMAIL}{mailbox}"),
            Self::Ip(address) => write!(f, "{IP}{address}"),
            Self::Uri(uri) => write!(f, "{URI}{uri}"),
        }
    }
}

impl FromStr for SubjectAltName {
    type Err = PkiError;

    fn from_str(text: &str) -> Result<Self, PkiError> {
        let parsed = if let Some(host) = text.strip_prefix(DNS) {
            check_host(host.strip_prefix("*.").unwrap_or(host)).map(|()| Self::Dns(host.to_owned()))
        } else if let Some(mailbox) = text.strip_prefix(EMAIL) {
            check_mailbox(mailbox).map(|()| Self::Email(mailbox.to_owned()))
        } else if let Some(address) = text.strip_prefix(IP) {
            address.parse().map(Self::Ip).map_err(|_| "it is neither an IPv4 nor an IPv6 address")
        } else if let Some(uri) = text.strip_prefix(URI) {
            check_uri(uri).map(|()| Self::Uri(uri.to_owned()))
        } else {
            Err("it does not begin with `dns:`, `email:`, `ip:` or `uri:`")
        };
        parsed.map_err(|cause| malformed(text, "subject alternative name", cause))
    }
}

/// The extension with these names; none if there are none, since it must not be empty.
pub(super) fn alternative_names(names: &[SubjectAltName]) -> Result<Option<pkix::SubjectAltName>, PkiError> {
    let names: Result<Vec<_>, _> = names.iter().map(SubjectAltName::to_general_name).collect();
    Ok(Some(names?).filter(|names| !names.is_empty()).map(pkix::SubjectAltName))
}

fn relative_name(text: &str) -> Result<RelativeDistinguishedName, String> {
    let mut name = RelativeDistinguishedName::default();
    for part in split_unescaped(text, b'+') {
        let attribute = attribute(part)?;
        if name.iter().any(|known| known.oid == attribute.oid) {
            return Err(format!("`{text}` has a type twice between commas"));
        }
        name.insert(attribute).map_err(|cause| cause.to_string())?;
    }
    Ok(name)
}

fn attribute(text: &str) -> Result<AttributeTypeAndValue, String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("`{text}` has no `=`"))?;
    let name = name.trim();
    let kind = ATTRIBUTES.iter().find(|kind| kind.names.iter().any(|known| known.eq_ignore_ascii_case(name)));
    let kind = kind.ok_or_else(|| format!("`{name}` is not a known type; known: {}", known_attributes()))?;
    let value = unescape(trim_unescaped(value)).map_err(|cause| format!("the value of {name} {cause}"))?;
    kind.check(&value).map_err(|cause| format!("the value of {name} {cause}"))?;
    let value = Any::new(kind.tag, value.into_bytes()).map_err(|cause| cause.to_string())?;
    Ok(AttributeTypeAndValue { oid: kind.oid, value })
}

/// A type that may stand in a subject.
struct AttributeKind {
    names: &'static [&'static str],
    oid: ObjectIdentifier,
    /// In characters: the upper bounds of RFC 5280, appendix A.1, which CAs enforce.
    longest: usize,
    tag: Tag,
}

impl AttributeKind {
    fn check(&self, value: &str) -> Result<(), String> {
        if value.is_empty() {
            return Err("is empty".to_owned());
        }
        if value.chars().count() > self.longest {
            return Err(format!("has more than {} characters", self.longest));
        }
        if value.chars().any(char::is_control) {
            return Err("has a control character".to_owned());
        }
        if self.oid == rfc4519::C && !(value.len() == 2 && value.bytes().all(|byte| byte.is_ascii_uppercase())) {
            return Err("is not a country code of two capital letters (ISO 3166)".to_owned());
        }
        match self.tag {
            Tag::PrintableString if !value.chars().all(is_printable) => {
                Err("has a character outside PrintableString (X.680)".to_owned())
            }
            Tag::Ia5String if !value.is_ascii() => Err("has a character outside ASCII".to_owned()),
            _ => Ok(()),
        }
    }
}

fn is_printable(character: char) -> bool {
    character.is_ascii_alphanumeric() || " '()+,-./:=?".contains(character)
}

fn known_attributes() -> String {
    ATTRIBUTES.iter().map(|kind| kind.names[0]).collect::<Vec<_>>().join(", ")
}

/// Splits where the separator has no backslash before it that is not itself escaped.
fn split_unescaped(text: &str, separator: u8) -> Vec<&str> {
    let (mut parts, mut start, mut escaped) = (Vec::new(), 0, false);
    for (index, byte) in text.bytes().enumerate() {
        if byte == separator && !escaped {
            parts.push(&text[start..index]);
            start = index + 1;
        }
        escaped = byte == b'\\' && !escaped;
    }
    parts.push(&text[start..]);
    parts
}

/// Takes spaces off both ends, but not one that is escaped (RFC 4514, section 2.4).
fn trim_unescaped(text: &str) -> &str {
    let text = text.trim_start_matches(' ');
    let trimmed = text.trim_end_matches(' ');
    let backslashes = trimmed.bytes().rev().take_while(|byte| *byte == b'\\').count();
    let keeps_one = text.len() > trimmed.len() && !backslashes.is_multiple_of(2);
    &text[..trimmed.len() + usize::from(keeps_one)]
}

fn unescape(text: &str) -> Result<String, &'static str> {
    if text.starts_with('#') {
        return Err("is in the `#` form, which is not supported");
    }
    let mut bytes = text.bytes();
    let mut value = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        value.push(if byte == b'\\' { escaped_byte(&mut bytes)? } else { byte });
    }
    String::from_utf8(value).map_err(|_| "is not UTF-8")
}

fn escaped_byte(bytes: &mut impl Iterator<Item = u8>) -> Result<u8, &'static str> {
    let first = bytes.next().ok_or("ends in a backslash")?;
    if b" \"#+,;<=>\\".contains(&first) {
        return Ok(first);
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (high, low) = (digit(first), bytes.next().and_then(digit));
    high.zip(low).map(|(high, low)| high << 4 | low).ok_or("has a backslash before what needs none")
}

/// Labels of letters, digits and hyphens (RFC 1034, section 3.5; RFC 1123, section 2.1).
fn check_host(host: &str) -> Result<(), &'static str> {
    if !host.is_ascii() {
        return Err("a host is written in ASCII, other letters as `xn--…`");
    }
    if host.parse::<IpAddr>().is_ok() {
        return Err("an address is written `ip:…`");
    }
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if host.len() > 253 || !host.split('.').all(is_label) {
        return Err("a host has labels of 1 to 63 letters, digits and inner hyphens, with `*` at most alone in front");
    }
    Ok(())
}

fn check_mailbox(mailbox: &str) -> Result<(), &'static str> {
    let (local, host) = mailbox.rsplit_once('@').ok_or("a mailbox has an `@`")?;
    if local.is_empty() || local.len() > 64 || !local.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'@') {
        return Err("before the `@` stand 1 to 64 printable ASCII characters");
    }
    check_host(host)
}

fn check_uri(uri: &str) -> Result<(), &'static str> {
    let (scheme, rest) = uri.split_once(':').ok_or("a URI begins with its scheme, like `https:`")?;
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    if !is_scheme {
        return Err("a URI begins with its scheme, like `https:`");
    }
    // RFC 3986, section 2: all else is percent-encoded.
    if rest.is_empty() || !rest.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte)) {
        return Err("a URI has printable ASCII characters only, others as `%…`");
    }
    Ok(())
}

fn address_from_octets(octets: &[u8]) -> Option<IpAddr> {
    let v4 = || <[u8; 4]>::try_from(octets).map(IpAddr::from);
    let v6 = || <[u8; 16]>::try_from(octets).map(IpAddr::from);
    v4().or_else(|_| v6()).ok()
}

fn malformed(given: &str, what: &'static str, cause: impl Into<String>) -> PkiError {
    PkiError::NameMalformed { given: given.to_owned(), what, cause: cause.into() }
}

const DISTINGUISHED_NAME: &str = "distinguished name";

const DNS: &str = "dns:";
const EMAIL: &str = "email:";
const IP: &str = "ip:";
const URI: &str = "uri:";
const KINDS: &[&str] = &[DNS, EMAIL, IP, URI];

const fn kind(names: &'static [&'static str], oid: ObjectIdentifier, longest: usize, tag: Tag) -> AttributeKind {
    AttributeKind { names, oid, longest, tag }
}

const ATTRIBUTES: &[AttributeKind] = &[
    kind(&["CN", "commonName"], rfc4519::CN, 64, Tag::Utf8String),
    kind(&["O", "organizationName"], rfc4519::O, 64, Tag::Utf8String),
    kind(&["OU", "organizationalUnitName"], rfc4519::OU, 64, Tag::Utf8String),
    kind(&["C", "countryName"], rfc4519::C, 2, Tag::PrintableString),
    kind(&["ST", "S", "stateOrProvinceName"], rfc4519::ST, 128, Tag::Utf8String),
    kind(&["L", "localityName"], rfc4519::L, 128, Tag::Utf8String),
    kind(&["STREET", "streetAddress"], rfc4519::STREET, 128, Tag::Utf8String),
    kind(&["DC", "domainComponent"], rfc4519::DC, 63, Tag::Ia5String),
    kind(&["UID", "userId"], rfc4519::UID, 256, Tag::Utf8String),
    kind(&["SN", "surname"], rfc4519::SN, 128, Tag::Utf8String),
    kind(&["GN", "givenName"], rfc4519::GN, 128, Tag::Utf8String),
    kind(&["TITLE", "T"], rfc4519::TITLE, 64, Tag::Utf8String),
    kind(&["SERIALNUMBER"], rfc4519::SERIAL_NUMBER, 64, Tag::PrintableString),
    kind(&["EMAIL", "emailAddress", "E"], rfc3280::EMAIL_ADDRESS, 255, Tag::Ia5String),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn subject_error(text: &str) -> String {
        text.parse::<Subject>().unwrap_err().to_string()
    }

    #[test]
    fn a_subject_displays_as_it_was_written() {
        for text in [
            "CN=web.example,O=Example,C=DE",
            "CN=Müller \\+ Söhne\\, Köln,OU=a\\\\,OU=b",
            "CN=\\#1,O=\\ spaces inside and at both ends\\ ",
            "OU=Sales+CN=J. Smith,DC=example,DC=net",
            "STREET=1 Main Street,L=Town,ST=State,UID=u1,SN=S,GN=G,TITLE=T,SERIALNUMBER=42,EMAIL=a@example.org",
        ] {
            assert_eq!(text.parse::<Subject>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn spaces_around_parts_and_the_case_of_types_do_not_matter() {
        let subject: Subject = "cn = web.example , o=Example".parse().unwrap();

        assert_eq!(subject.to_string(), "CN=web.example,O=Example");
    }

    #[test]
    fn an_escape_gives_the_character_that_it_stands_for() {
        let subject: Subject = "CN=a\\2cb\\C3\\BC\\\\\\,c".parse().unwrap();

        let value = subject.as_name().common_name().unwrap().unwrap();

        assert_eq!(value.value(), "a,bü\\,c");
    }

    #[test]
    fn a_subject_that_says_nothing_or_something_unknown_is_refused() {
        assert_eq!(subject_error("CN=,O=b"), "`CN=,O=b` is not a distinguished name: the value of CN is empty");
        assert_eq!(subject_error(""), "`` is not a distinguished name: `` has no `=`");
        assert_eq!(subject_error("CN=a,,O=b"), "`CN=a,,O=b` is not a distinguished name: `` has no `=`");
        assert!(subject_error("XX=a").contains("`XX` is not a known type; known: CN, O, OU, C, ST, L,"));
        assert!(subject_error("/CN=a/O=b").contains("`/CN` is not a known type"));
    }

    #[test]
    fn a_value_that_certificates_cannot_hold_is_refused() {
        for text in [
            "C=de",
            "C=DEU",
            "CN=a\\00b",
            "CN=a\\",
            "CN=a\\4",
            "CN=a\\xb",
            "CN=a\\FF",
            "CN=#0c0161",
            "DC=ü",
            "SERIALNUMBER=a*b",
            "CN=a+CN=a",
            &format!("CN={}", "a".repeat(65)),
        ] {
            assert!(text.parse::<Subject>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_alternative_name_displays_as_it_was_written() {
        for text in [
            "dns:web.example",
            "dns:*.web.example",
            "dns:xn--mller-kva.example",
            "email:first.last+tag@example.org",
            "ip:192.0.2.1",
            "ip:2001:db8::1",
            "uri:https://example.org/a?b=c,d#e",
            "uri:urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
        ] {
            let name: SubjectAltName = text.parse().unwrap();
            let general = name.to_general_name().unwrap();

            assert_eq!(name.to_string(), text);
            assert_eq!(SubjectAltName::from_general_name(&general), Some(name));
        }
    }

    #[test]
    fn an_alternative_name_of_the_wrong_form_is_refused() {
        for text in [
            "web.example",
            "DNS:web.example",
            "dns:",
            "dns:*",
            "dns:a.*.example",
            "dns:*a.example",
            "dns:a..example",
            "dns:a.example.",
            "dns:-a.example",
            "dns:a_b.example",
            "dns:müller.example",
            "dns:192.0.2.1",
            "email:example.org",
            "email:@example.org",
            "email:a b@example.org",
            "email:a@b@example.org",
            "email:a@*.example.org",
            "ip:192.0.2",
            "ip:192.0.2.0/24",
            "uri:example.org",
            "uri:https:",
            "uri:https://example.org/ü",
            "uri:https://example.org/a b",
            "uri:1a:b",
        ] {
            assert!(text.parse::<SubjectAltName>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_advice_for_an_address_given_as_a_host_is_to_write_ip() {
        let error = "dns:2001:db8::1".parse::<SubjectAltName>().unwrap_err();

        let expected = "`dns:2001:db8::1` is not a subject alternative name: an address is written `ip:…`";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn a_list_is_separated_by_commas_but_not_inside_a_uri() {
        let names = SubjectAltName::parse_list("dns:a.example, uri:https://b.example/c,d,ip:192.0.2.1").unwrap();

        let expected = ["dns:a.example", "uri:https://b.example/c,d", "ip:192.0.2.1"].map(|text| text.parse().unwrap());
        assert_eq!(names, expected);
        assert!(SubjectAltName::parse_list("").is_err());
        assert!(SubjectAltName::parse_list("dns:a.example,b.example").is_err());
    }
}
