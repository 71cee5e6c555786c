"""Has a certificate been withdrawn? By CRL (RFC 5280) and OCSP (RFC 6960)."""
