"""Tests the Java trust store against its published layout."""

import base64
import hashlib
import struct
import unittest

import trust_store


def _pem(der):
    return f"-----BEGIN CERTIFICATE-----\n{base64.encodebytes(der).decode()}-----END CERTIFICATE-----\n"


class JavaKeyStoreTest(unittest.TestCase):
    def test_no_certificates(self):
        store = trust_store.java_key_store("# none\n")
        self.assertEqual(store[:12], struct.pack(">III", 0xFEEDFEED, 2, 0))
        self.assertEqual(len(store), 12 + 20)

    def test_certificates_lie_in_the_store_and_the_digest_covers_them(self):
        store = trust_store.java_key_store("a comment\n" + _pem(b"first" * 20) + _pem(b"second"))
        self.assertEqual(store[:12], struct.pack(">III", 0xFEEDFEED, 2, 2))
        for der in (b"first" * 20, b"second"):
            self.assertIn(struct.pack(">H", 5) + b"X.509" + struct.pack(">I", len(der)) + der, store)
        password = "changeit".encode("utf-16-be")
        self.assertEqual(store[-20:], hashlib.sha1(password + b"Mighty Aphrodite" + store[:-20]).digest())


class CertificatesFileTest(unittest.TestCase):
    def test_environment_comes_first(self):
        self.assertEqual(trust_store.certificates_file({"SSL_CERT_FILE": __file__}), __file__)

    def test_unreadable_file_of_the_environment_is_passed_over(self):
        self.assertNotEqual(trust_store.certificates_file({"SSL_CERT_FILE": "/no/such/file"}), "/no/such/file")


if __name__ == "__main__":
    unittest.main()
