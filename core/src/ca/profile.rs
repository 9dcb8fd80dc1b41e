//! The certificates that the CA writes. Sources: RFC 5280, RFC 8410 (ed25519).

use std::time::Duration;

use aws_lc_rs::rand;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber,
    SignatureAlgorithm, date_time_ymd, string::Ia5String,
};
use rustls::pki_types::CertificateDer;

use crate::{
    ca::CA_SERVER_NAME,
    certificate::{MixerMark, trust_root::TEST_ROOT_NAME},
    identity::{DeviceKey, NodeId, UserId},
    unix_time::UnixTime,
};

/// A CA's key and the certificate that it signs under.
pub(crate) struct Signer {
    issuer: Issuer<'static, DeviceKey>,
    pub certificate: CertificateDer<'static>,
}

/// What a device certificate is to say.
pub(crate) struct DeviceProfile<'a> {
    pub user: &'a UserId,
    pub node: NodeId,
    pub mixer: Option<MixerMark>,
    pub not_after: UnixTime,
}

impl Signer {
    /// Pairs a key with its certificate, which was made or loaded before.
    pub(crate) fn new(
        key: DeviceKey,
        certificate: CertificateDer<'static>,
    ) -> Result<Self, rcgen::Error> {
        let issuer = Issuer::from_ca_cert_der(&certificate, key)?;
        Ok(Self { issuer, certificate })
    }

    /// Makes a self-signed root; it may sign issuing CAs only.
    pub(crate) fn root(
        now: UnixTime,
        key: DeviceKey,
        test_network: bool,
    ) -> Result<Self, rcgen::Error> {
        let name = if test_network { TEST_ROOT_NAME } else { "Sabha Root CA" };
        let name = authority_name(name, &key);
        let params = authority_params(&name, now, ROOT_LIFETIME, 1)?;
        let certificate = params.self_signed(&key)?.into();
        Self::new(key, certificate)
    }

    /// Makes an issuing CA under this root; it may sign leaves only.
    pub(crate) fn issuing(
        &self,
        now: UnixTime,
        key: DeviceKey,
        test_network: bool,
    ) -> Result<Self, rcgen::Error> {
        let name = if test_network { "Sabha Test Network Issuing CA" } else { "Sabha Issuing CA" };
        let name = authority_name(name, &key);
        let params = authority_params(&name, now, ISSUING_LIFETIME, 0)?;
        let certificate = params.signed_by(&key, &self.issuer)?.into();
        Self::new(key, certificate)
    }

    /// Makes a device's certificate.
    pub(crate) fn device(
        &self,
        now: UnixTime,
        profile: &DeviceProfile<'_>,
    ) -> Result<CertificateDer<'static>, rcgen::Error> {
        let name = &profile.node.to_string()[..16];
        let mut params = leaf_params(&format!("Sabha device {name}"), now, profile.not_after)?;
        params.subject_alt_names = vec![
            SanType::Rfc822Name(Ia5String::try_from(profile.user.as_str())?),
            SanType::DnsName(Ia5String::try_from(profile.node.dns_name())?),
        ];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        if let Some(mark) = profile.mixer {
            let extension = CustomExtension::from_oid_content(&MixerMark::OID, mark.to_der());
            params.custom_extensions.push(extension);
        }
        Ok(params.signed_by(&Ed25519Public(profile.node), &self.issuer)?.into())
    }

    /// Makes the certificate of the CA's own server.
    pub(crate) fn server(
        &self,
        now: UnixTime,
        key: &DeviceKey,
    ) -> Result<CertificateDer<'static>, rcgen::Error> {
        let mut params = leaf_params("Sabha CA server", now, now.after(SERVER_LIFETIME))?;
        params.subject_alt_names = vec![SanType::DnsName(Ia5String::try_from(CA_SERVER_NAME)?)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        Ok(params.signed_by(key, &self.issuer)?.into())
    }
}

/// A public key alone, as a request brings it.
struct Ed25519Public(NodeId);

impl PublicKeyData for Ed25519Public {
    fn der_bytes(&self) -> &[u8] {
        &self.0.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ED25519
    }
}

/// Names a CA after its key, so that verifiers can tell one network's CA from another's.
fn authority_name(what: &str, key: &DeviceKey) -> String {
    format!("{what} {}", &key.node().to_string()[..16])
}

fn authority_params(
    name: &str,
    now: UnixTime,
    lifetime: Duration,
    below_max: u8,
) -> Result<CertificateParams, rcgen::Error> {
    let mut params = base_params(name, now, now.after(lifetime))?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(below_max));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn leaf_params(
    name: &str,
    now: UnixTime,
    not_after: UnixTime,
) -> Result<CertificateParams, rcgen::Error> {
    let mut params = base_params(name, now, not_after)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn base_params(
    name: &str,
    now: UnixTime,
    not_after: UnixTime,
) -> Result<CertificateParams, rcgen::Error> {
    let mut serial = [0; 16];
    rand::fill(&mut serial).map_err(|_| rcgen::Error::RingUnspecified)?;
    serial[0] = serial[0] & 0x3f | 0x40;
    let mut distinguished_name = DistinguishedName::new();
    distinguished_name.push(DnType::CommonName, name);
    let epoch = date_time_ymd(1970, 1, 1);
    let mut params = CertificateParams::default();
    params.not_before = epoch + Duration::from_secs(now.before(CLOCK_SKEW).as_secs());
    params.not_after = epoch + Duration::from_secs(not_after.as_secs());
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.distinguished_name = distinguished_name;
    Ok(params)
}

/// Root certificates: chosen to outlive the network's hardware twice.
const ROOT_LIFETIME: Duration = Duration::from_secs(20 * 365 * 86_400);
/// Issuing certificates: chosen so that an offline root is fetched every few years.
const ISSUING_LIFETIME: Duration = Duration::from_secs(5 * 365 * 86_400);
/// The CA server's certificate: its key lives in memory and it is renewed daily.
const SERVER_LIFETIME: Duration = Duration::from_secs(30 * 86_400);
/// How far a device's clock may lag behind the CA's without refusing its new certificate.
const CLOCK_SKEW: Duration = Duration::from_secs(300);
