"""Tests what the set-up reads from apt and tells about it."""

import unittest

import apt_private
from package_lock import Package

_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def _sources(*rows):
    return "".join("|".join(row) + "\n" for row in rows)


class DebianMirrorsTest(unittest.TestCase):
    def test_no_sources(self):
        self.assertEqual(apt_private.debian_mirrors("", [_KEYRING]), [])

    def test_a_source_of_another_suite(self):
        targets = _sources(("Packages", "main", "bookworm", "http://mirror.example/debian/", _KEYRING))
        self.assertEqual(
            apt_private.debian_mirrors(targets, [_KEYRING]),
            [("http://mirror.example/debian/", _KEYRING)],
        )

    def test_order_is_kept_and_each_address_taken_once(self):
        targets = _sources(
            ("Packages", "main", "trixie", "http://b.example/", ""),
            ("Packages", "main", "bookworm", "http://a.example/", ""),
            ("Packages", "main", "sid", "http://b.example/", ""),
        )
        addresses = [address for address, _ in apt_private.debian_mirrors(targets, [_KEYRING])]
        self.assertEqual(addresses, ["http://b.example/", "http://a.example/"])

    def test_other_targets_components_and_releases_are_no_mirrors(self):
        targets = _sources(
            ("Translations", "main", "bookworm", "http://a.example/", ""),
            ("Packages", "contrib", "bookworm", "http://b.example/", ""),
            ("Packages", "main", "bookworm-security", "http://c.example/", ""),
            ("Packages", "main", "noble", "http://ubuntu.example/", ""),
        )
        self.assertEqual(apt_private.debian_mirrors(targets, [_KEYRING]), [])

    def test_key_files_of_the_source_are_added(self):
        targets = _sources(("Packages", "main", "bookworm", "http://a.example/", "/etc/keys/site.gpg"))
        ((_, keyrings),) = apt_private.debian_mirrors(targets, [_KEYRING])
        self.assertEqual(keyrings, f"{_KEYRING},/etc/keys/site.gpg")

    def test_fingerprints_and_embedded_keys_are_not_files(self):
        for signed_by in ("6ED0E7B82643E131", "-----BEGIN PGP PUBLIC KEY BLOCK-----"):
            targets = _sources(("Packages", "main", "bookworm", "http://a.example/", signed_by))
            ((_, keyrings),) = apt_private.debian_mirrors(targets, [_KEYRING])
            self.assertEqual(keyrings, _KEYRING)


class ParsePrintUrisTest(unittest.TestCase):
    def test_other_lines_are_skipped(self):
        self.assertEqual(apt_private.parse_print_uris("Reading package lists...\n0 upgraded\n"), [])

    def test_epoch_in_the_file_name(self):
        text = f"'http://a.example/zlib1g.deb' zlib1g_1%3a1.3+2-3_amd64.deb 90912 SHA256:{'a' * 64}\n"
        package = Package("zlib1g", "1:1.3+2-3", "amd64", "a" * 64)
        self.assertEqual(apt_private.parse_print_uris(text), [(package, "zlib1g_1%3a1.3+2-3_amd64.deb", 90912)])

    def test_weak_hashes_do_not_count(self):
        self.assertEqual(apt_private.parse_print_uris(f"'http://a.example/p' p_1_all.deb 3 MD5Sum:{'a' * 32}\n"), [])


class ExplainFailureTest(unittest.TestCase):
    def test_each_cause_has_its_cure(self):
        for log, cure in (
            (
                "W: The following signatures couldn't be verified: NO_PUBKEY 1234\n",
                "update the package debian-archive-keyring",
            ),
            ("W: The following signatures were invalid: EXPKEYSIG 1234\n", "set the clock"),
            ("E: Release file for http://a/InRelease is not valid yet (invalid for another 2h)\n", "set the clock"),
            ("E: The repository 'http://a forky Release' does not have a Release file.\n", "does not carry"),
            ("E: Failed to fetch http://a/x.deb  404  Not Found\n", "does not carry"),
            ("E: You don't have enough free space: not enough free space\n", "free some disk space"),
            ("W: Failed to fetch http://a  Could not connect to 127.0.0.1:9\n", "http_proxy"),
        ):
            with self.subTest(log=log):
                explanation = apt_private.explain_failure(log)
                self.assertIn(cure, explanation)
                self.assertIn(log.strip(), explanation)

    def test_silence_is_reported_as_such(self):
        self.assertIn("apt said nothing", apt_private.explain_failure(""))


class PasswordTest(unittest.TestCase):
    def test_user_and_password_are_not_shown(self):
        self.assertEqual(
            apt_private.without_password("https://me:secret@a.example/debian/"), "https://a.example/debian/"
        )


if __name__ == "__main__":
    unittest.main()
