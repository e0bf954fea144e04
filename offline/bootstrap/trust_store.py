"""Makes a Java trust store of the machine's certificates, for what Bazel itself downloads over https."""

import base64
import hashlib
import os
import re
import struct

# The file that the machine's administrator keeps up to date; SSL_CERT_FILE, where set, replaces it as in OpenSSL.
_MACHINE_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"

# A trust store holds nothing secret. Java checks it with this password, which it assumes when none is given.
_PASSWORD = "changeit"

_MAGIC = 0xFEEDFEED
_VERSION = 2
_TRUSTED_CERTIFICATE = 2


def certificates_file(environment):
    """Returns the path of the machine's certificates, or None."""
    for path in (environment.get("SSL_CERT_FILE"), _MACHINE_CERTIFICATES):
        if path and os.access(path, os.R_OK):
            return path
    return None


def java_key_store(pem):
    """Returns the bytes of a Java key store (JKS) with every certificate in the PEM text.

    Layout, all big-endian: magic, version, count; per certificate tag, alias, time stamp, type, length, DER; last a
    SHA-1 over the password in UTF-16, a fixed phrase, and all before it. keytool would add certificates one by one,
    each in a Java of its own.
    """
    found = re.findall("-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", pem, re.DOTALL)
    store = struct.pack(">III", _MAGIC, _VERSION, len(found))
    for number, body in enumerate(found):
        der = base64.b64decode(body)
        store += struct.pack(">I", _TRUSTED_CERTIFICATE) + _utf(f"certificate {number}") + struct.pack(">Q", 0)
        store += _utf("X.509") + struct.pack(">I", len(der)) + der
    return store + hashlib.sha1(_PASSWORD.encode("utf-16-be") + b"Mighty Aphrodite" + store).digest()


def _utf(text):
    """A string as Java's DataOutput.writeUTF writes it (for ASCII)."""
    return struct.pack(">H", len(text)) + text.encode("ascii")
