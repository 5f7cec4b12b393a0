//! `Guard`: keeps requests that a server caused away from internal addresses.
//!
//! A registry chooses where its token server is and where it redirects to. Without a check it could make this machine ask
//! the services of its own network, such as a cloud's metadata server (CVE-2026-48978). The check is of the address that the
//! connection uses, so a name that resolves differently a moment later changes nothing.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// Why a target is refused, with the remedy.
pub(super) const REASON: &str = "its address is internal; name its host if it is right (`--redirect-host`, or `redirects` of an upstream)";

/// Who can reach an address: fewer with each class.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum AddressClass {
    Public,
    /// Machines of a private network.
    Internal,
    /// This machine alone.
    Loopback,
    /// Link-local addresses, other addresses of a cloud's own services such as metadata servers, and addresses of no machine.
    Special,
}

impl AddressClass {
    /// The class of an address (IANA's special-purpose registries; RFC 6890).
    pub(super) fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::of_v4(address),
            IpAddr::V6(address) => Self::of_v6(address),
        }
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        let [a, b, ..] = address.octets();
        match (a, b) {
            _ if address.is_link_local() || address.is_multicast() => Self::Special,
            _ if CLOUDS_V4.contains(&address) => Self::Special,
            (0 | 240..=255, _) => Self::Special,
            _ if address.octets().starts_with(&[192, 0, 0]) => Self::Special,
            _ if address.is_loopback() => Self::Loopback,
            _ if address.is_private() => Self::Internal,
            // Carrier-grade NAT, and benchmarks.
            (100, 64..=127) | (198, 18 | 19) => Self::Internal,
            _ => Self::Public,
        }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        let [a, b, c, d, e, f, g, h] = address.segments();
        let embedded =
            |high: u16, low: u16| Self::of_v4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
        match (a, b) {
            _ if CLOUDS_V6.contains(&address) => Self::Special,
            _ if address.is_unspecified() || address.is_multicast() => Self::Special,
            _ if address.is_unicast_link_local() => Self::Special,
            _ if address.is_loopback() => Self::Loopback,
            _ if address.is_unique_local() => Self::Internal,
            // Site-local (RFC 3879), and the NAT64 of a network's own (RFC 8215).
            (0xfec0..=0xfeff, _) => Self::Internal,
            (0x64, 0xff9b) if c == 1 => Self::Internal,
            // IPv4-mapped, IPv4-compatible and IPv4-translated, NAT64, 6to4, Teredo: each contains an IPv4 address.
            (0, 0) if (c, d) == (0, 0) && matches!((e, f), (0, 0 | 0xffff) | (0xffff, 0)) => embedded(g, h),
            (0x64, 0xff9b) => embedded(g, h),
            (0x2002, _) => embedded(b, c),
            (0x2001, 0) => embedded(!g, !h),
            _ => Self::Public,
        }
    }
}

/// Services of clouds outside the link-local addresses: Azure's platform, Alibaba's metadata.
const CLOUDS_V4: [Ipv4Addr; 2] = [Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(100, 100, 100, 200)];
/// Unique local addresses of metadata servers: AWS and its containers, Google, Oracle.
const CLOUDS_V6: [Ipv6Addr; 4] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe),
];

/// The rule for addresses, which a client's requests share.
#[derive(Debug, Default)]
pub(super) struct Guard {
    /// A registry at an internal address may refer to its neighbours, and one on this machine also to this machine. The widest
    /// class that it answered from counts, since its name may resolve to what its owner likes.
    registry: Mutex<Option<AddressClass>>,
    /// Proxies of the environment, which may be anywhere.
    exempt: Mutex<HashSet<String>>,
}

impl Guard {
    /// Notes the address at which the registry answered.
    pub(super) fn set_registry(&self, class: AddressClass) {
        // What answers from a special address has no neighbours.
        let class = if class == AddressClass::Special { AddressClass::Public } else { class };
        let mut known = self.registry.lock();
        *known = Some(known.map_or(class, |known| known.min(class)));
    }

    /// Whether a server may refer to this address.
    pub(super) fn allows(&self, address: IpAddr) -> bool {
        match AddressClass::of(address) {
            AddressClass::Public => true,
            class @ (AddressClass::Internal | AddressClass::Loopback) => {
                self.registry.lock().is_some_and(|registry| registry >= class)
            }
            AddressClass::Special => false,
        }
    }

    /// Lets a name resolve to any address.
    pub(super) fn exempt(&self, host: &str) {
        self.exempt.lock().insert(host.to_owned());
    }

    fn is_exempt(&self, host: &str) -> bool {
        self.exempt.lock().contains(host)
    }
}

/// The address that a URL names without a resolver.
pub(super) fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
        Host::Domain(_) => None,
    }
}

/// A resolver that leaves out what the guard does not allow.
#[derive(Debug)]
pub(super) struct GuardedResolver(pub(super) Arc<Guard>);

/// An error: the name has internal addresses only.
#[derive(Debug, thiserror::Error)]
#[error("{REASON}")]
pub(super) struct InternalAddress;

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.0.clone();
        Box::pin(async move {
            let found: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            if guard.is_exempt(name.as_str()) {
                return Ok(Box::new(found.into_iter()) as Addrs);
            }
            let is_empty = found.is_empty();
            let allowed: Vec<_> = found.into_iter().filter(|address| guard.allows(address.ip())).collect();
            if allowed.is_empty() && !is_empty {
                return Err(InternalAddress.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_their_class() {
        use AddressClass::{Internal, Loopback, Public, Special};
        for (address, class) in [
            ("1.1.1.1", Public),
            ("2606:4700::1", Public),
            ("10.0.0.1", Internal),
            ("172.16.0.1", Internal),
            ("172.32.0.1", Public),
            ("192.168.1.1", Internal),
            ("127.0.0.1", Loopback),
            ("100.64.0.1", Internal),
            ("169.254.169.254", Special),
            ("0.0.0.0", Special),
            ("224.0.0.1", Special),
            ("255.255.255.255", Special),
            ("::1", Loopback),
            ("::", Special),
            ("fd00::1", Internal),
            ("fd00:ec2::254", Special),
            ("fe80::1", Special),
            ("ff02::1", Special),
            ("::ffff:127.0.0.1", Loopback),
            ("::ffff:169.254.169.254", Special),
            ("::127.0.0.1", Loopback),
            ("64:ff9b::a00:1", Internal),
            ("64:ff9b::101:101", Public),
            ("2002:7f00:1::", Loopback),
            ("168.63.129.16", Special),
            ("100.100.100.200", Special),
            ("192.0.0.192", Special),
            ("192.0.1.1", Public),
            ("fd20:ce::254", Special),
            ("fd00:ec2::23", Special),
            ("fd00:c1::a9fe:a9fe", Special),
            ("fec0::1", Internal),
            ("64:ff9b:1::a00:1", Internal),
            ("::ffff:0:127.0.0.1", Loopback),
            ("2001:0:4136:e378:8000:63bf:80ff:fffe", Loopback),
            ("2001:0:4136:e378:8000:63bf:3fff:fdd2", Public),
        ] {
            assert_eq!(AddressClass::of(address.parse().unwrap()), class, "{address}");
        }
    }

    #[test]
    fn neighbours_of_an_internal_registry_are_allowed_but_no_metadata_server() {
        let guard = Guard::default();
        let allows = |address: &str| guard.allows(address.parse().unwrap());
        assert!(allows("1.1.1.1") && !allows("10.0.0.1"));
        guard.set_registry(AddressClass::Internal);
        assert!(allows("10.0.0.1") && !allows("169.254.169.254"));
        assert!(!allows("127.0.0.1") && !allows("::1") && !allows("::ffff:127.0.0.1"));
        guard.set_registry(AddressClass::Public);
        assert!(!allows("10.0.0.1"));
        // Its name resolves to a neighbour again.
        guard.set_registry(AddressClass::Internal);
        assert!(!allows("10.0.0.1"));
    }

    #[test]
    fn only_a_registry_on_this_machine_refers_to_this_machine() {
        let guard = Guard::default();
        let allows = |address: &str| guard.allows(address.parse().unwrap());
        assert!(!allows("127.0.0.1"));
        guard.set_registry(AddressClass::Loopback);
        assert!(allows("127.0.0.1") && allows("::1") && allows("10.0.0.1") && !allows("169.254.169.254"));
        guard.set_registry(AddressClass::Internal);
        assert!(!allows("127.0.0.1") && allows("10.0.0.1"));
        guard.set_registry(AddressClass::Loopback);
        assert!(!allows("127.0.0.1"));
        guard.set_registry(AddressClass::Special);
        assert!(!allows("10.0.0.1") && !allows("169.254.169.254"));
    }

    #[test]
    fn odd_spellings_of_an_address_are_literals() {
        for text in ["http://0x7f.1/", "http://2130706433/", "http://127.1/", "http://0177.0.0.1/"] {
            assert_eq!(literal(&text.parse().unwrap()), Some("127.0.0.1".parse().unwrap()), "{text}");
        }
        assert_eq!(literal(&"http://localhost/".parse().unwrap()), None);
    }
}
