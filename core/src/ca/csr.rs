//! Certificate signing requests: made by newcomers, read by the CA. Source: RFC 2986.

use rcgen::CertificateParams;
use x509_parser::{
    certification_request::X509CertificationRequest, oid_registry::OID_SIG_ED25519,
    prelude::FromDer,
};

use crate::{
    ca::refusal::CaRefusal,
    identity::{DeviceKey, NodeId, device_key::is_signed_raw},
};

/// Makes a request for `key` that names nothing else: the CA decides what the certificate says.
pub(crate) fn create(key: &DeviceKey) -> Result<Vec<u8>, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    Ok(params.serialize_request(key)?.der().to_vec())
}

/// Returns the key of a signing request that was signed with it.
pub(crate) fn requested_key(csr: &[u8]) -> Result<NodeId, CaRefusal> {
    if csr.len() > CSR_LEN_MAX {
        return Err(CaRefusal::BadCsr("it is too long"));
    }
    let (rest, request) = X509CertificationRequest::from_der(csr)
        .map_err(|_| CaRefusal::BadCsr("it is not PKCS #10"))?;
    if !rest.is_empty() {
        return Err(CaRefusal::BadCsr("bytes follow it"));
    }
    let info = &request.certification_request_info;
    let is_ed25519 = info.subject_pki.algorithm.algorithm == OID_SIG_ED25519
        && request.signature_algorithm.algorithm == OID_SIG_ED25519;
    let key: &[u8] = &info.subject_pki.subject_public_key.data;
    let node = key.try_into().ok().filter(|_| is_ed25519).map(NodeId);
    let node = node.ok_or(CaRefusal::BadCsr("its key is not ed25519"))?;
    if !is_signed_raw(&node, info.raw, &request.signature_value.data) {
        return Err(CaRefusal::BadCsr("its signature does not fit its key"));
    }
    if node.server_name().is_none() {
        return Err(CaRefusal::BadCsr("its key cannot stand in a DNS name; make a new key"));
    }
    Ok(node)
}

/// Longest signing request, in bytes; the client's own has about 200.
const CSR_LEN_MAX: usize = 2048;
