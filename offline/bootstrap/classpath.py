"""The Java class path of Debian's Bazel, moved into the private prefix."""

import os
import zipfile


def manifest_class_path(manifest):
    """Returns the entries of the Class-Path attribute in a jar's manifest text.

    A manifest wraps its lines at 72 bytes; a line that begins with a blank continues the one before.
    """
    unwrapped = manifest.replace("\r\n", "\n").replace("\n ", "")
    for line in unwrapped.split("\n"):
        name, _, value = line.partition(":")
        if name.lower() == "class-path":
            return value.split()
    return []


def closure(listed, read_manifest):
    """Returns the listed jars and those that their manifests name, in order of discovery.

    Debian's list has only the direct dependencies. Java finds the others through the manifests, but these name absolute
    paths, which inside a prefix lead nowhere.

    Args:
      listed: absolute paths of jars as on a Debian system.
      read_manifest: returns the manifest's text of such a path, or None where the packages hold no such jar.
    """
    found = []
    queue = list(listed)
    seen = set()
    for jar in queue:  # grows while it is read
        if jar in seen:
            continue
        seen.add(jar)
        manifest = read_manifest(jar)
        if manifest is None:
            continue
        found.append(jar)
        for entry in manifest_class_path(manifest):
            entry = entry[len("file:") :] if entry.startswith("file:") else entry
            if entry.endswith(".jar"):
                queue.append(os.path.normpath(os.path.join(os.path.dirname(jar), entry)))
    return found


def relocate(list_file, prefix, version_jar):
    """Rewrites Bazel's class path file for the prefix.

    Args:
      list_file: the file that names the jars, one per line or separated by colons.
      prefix: folder that holds the unpacked packages.
      version_jar: path of a jar to write, which tells Bazel its version.
    """

    def read_manifest(jar):
        path = prefix + jar
        if not os.path.exists(path):
            return None
        with zipfile.ZipFile(path) as archive:
            try:
                return archive.read("META-INF/MANIFEST.MF").decode("utf-8", "replace")
            except KeyError:
                return ""

    with open(list_file, encoding="utf-8") as file:
        listed = file.read().replace(":", " ").split()
    jars = [prefix + jar for jar in closure(listed, read_manifest)]
    with open(list_file, "w", encoding="utf-8") as file:
        file.write("\n".join([*jars, version_jar]) + "\n")


def write_version_jar(path, version):
    """Writes the jar without which native.bazel_version is empty and rules take Bazel for an unreleased one."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("build-data.properties", f"build.label={version}\n")
