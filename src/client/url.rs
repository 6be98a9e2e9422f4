//! The address of a service: `https://host[:port]` (RFC 9110, section 4.2.2), in one spelling.

use rustls::pki_types::ServerName;
use std::{fmt, net::IpAddr, str::FromStr};

/// The address of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrl {
    host: Host,
    port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Address(IpAddr),
    Name(String),
}

impl ServerUrl {
    /// Host and port, as the header `Host` and the system's resolver have them.
    #[must_use]
    pub fn authority(&self) -> String {
        match &self.host {
            Host::Address(IpAddr::V6(address)) => format!("[{address}]:{}", self.port),
            Host::Address(address) => format!("{address}:{}", self.port),
            Host::Name(name) => format!("{name}:{}", self.port),
        }
    }

    /// What the server's certificate must be for.
    pub(super) fn server_name(&self) -> Option<ServerName<'static>> {
        match &self.host {
            Host::Address(address) => Some(ServerName::IpAddress((*address).into())),
            Host::Name(name) => ServerName::try_from(name.clone()).ok(),
        }
    }
}

impl FromStr for ServerUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| format!("{what}; write `https://HOST` or `https://HOST:PORT`");
        let uri: ::http::Uri = text.parse().map_err(|_| wrong("this is not a URL"))?;
        if uri.scheme_str() != Some("https") {
            return Err(wrong("it does not begin with `https://`"));
        }
        if uri.path().len() > 1 || uri.query().is_some() || text.contains('#') {
            return Err(wrong("it goes on after the port"));
        }
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        if authority.contains('@') {
            return Err(wrong("it names a user"));
        }
        let host = uri.host().unwrap_or_default();
        let rest = authority.strip_prefix(host).unwrap_or_default();
        let port = match rest.strip_prefix(':') {
            None => HTTPS,
            Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or_else(|| wrong("its port is none"))?,
        };
        let url = Self { host: Host::parse(host), port };
        if url.server_name().is_none() {
            return Err(wrong("its host is neither a name nor an address"));
        }
        Ok(url)
    }
}

impl Host {
    fn parse(text: &str) -> Self {
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        bare.parse().map_or_else(|_| Self::Name(text.to_ascii_lowercase()), Self::Address)
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}", self.authority())
    }
}

/// Port of HTTPS.
const HTTPS: u16 = 443;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server_has_one_spelling() {
        for (written, spelled) in [
            ("https://Keys.Example", "https://keys.example:443"),
            ("https://keys.example:8443/", "https://keys.example:8443"),
            ("HTTPS://127.0.0.1:8443", "https://127.0.0.1:8443"),
            ("https://[0:0:0:0:0:0:0:1]:8443", "https://[::1]:8443"),
        ] {
            assert_eq!(written.parse::<ServerUrl>().unwrap().to_string(), spelled, "{written}");
        }
    }

    #[test]
    fn what_is_no_address_of_a_service_is_refused() {
        for wrong in [
            "",
            "keys.example",
            "keys.example:8443",
            "http://keys.example",
            "https://",
            "https://:8443",
            "https://keys.example:0",
            "https://keys.example:65536",
            "https://keys.example:",
            "https://keys.example/api",
            "https://keys.example?x",
            "https://keys.example#x",
            "https://user:secret@keys.example",
            "https://keys example",
            "https://-.example",
            "https://[::1",
        ] {
            let error = wrong.parse::<ServerUrl>().unwrap_err();
            assert!(error.contains("https://HOST") && !error.contains("secret"), "{wrong}: {error}");
        }
    }
}
