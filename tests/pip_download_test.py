"""No setting that a caller has for environments of their own reaches the download of locked wheels; where from does."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import zipfile

import download
import pytest

SCRIPT = pathlib.Path(download.__file__).resolve()
FLAGS = ["--no-deps", "--only-binary=:all:", "--progress-bar=off"]


def test_only_where_packages_come_from_is_kept() -> None:
    environment = {
        "HOME": "/home/me",
        "https_proxy": "http://proxy",
        "PIP_CONFIG_FILE": "/etc/mine",
        "PIP_CONSTRAINT": "/etc/constraints",
        "PIP_INDEX_URL": "https://index",
        "PIP_REQUIRE_VIRTUALENV": "1",
        "PYTHONHOME": "/opt/other",
    }
    kept = {"HOME", "https_proxy", "PIP_CONFIG_FILE", "PIP_INDEX_URL"}
    assert set(download.without_settings(environment)) == kept


def test_files_and_variables_count_in_pips_order() -> None:
    listed = """\
:env:.index-url='https://of.the.environment'
download.trusted-host='mirror'
global.extra-index-url='\\nhttps://one\\nhttps://two'
global.index-url='https://of.the.file'
global.no-index='false'
global.require-virtualenv='true'
global.target='/somewhere'
install.find-links='/for/pip/install'
"""
    assert download.kept_settings(listed) == {
        "PIP_EXTRA_INDEX_URL": "\nhttps://one\nhttps://two",
        "PIP_INDEX_URL": "https://of.the.environment",
        "PIP_NO_INDEX": "false",
        "PIP_TRUSTED_HOST": "mirror",
    }


@pytest.fixture
def index(tmp_path: pathlib.Path) -> pathlib.Path:
    """A folder with one wheel, for --find-links."""
    folder = tmp_path / "index"
    folder.mkdir()
    with zipfile.ZipFile(folder / "nothing-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("nothing-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: nothing\nVersion: 1.0\n")
        wheel.writestr("nothing-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("nothing-1.0.dist-info/RECORD", "")
    return folder


@pytest.mark.parametrize(
    ("variables", "configuration"),
    [
        ({}, ""),
        ({"PIP_REQUIRE_VIRTUALENV": "1"}, ""),
        ({"PIP_CONSTRAINT": "{folder}/constraints"}, ""),
        (
            {
                "PIP_REQUIREMENT": "{folder}/constraints",
                "PIP_NO_BINARY": ":all:",
                "PIP_PLATFORM": "any",
                "PIP_DEST": "/",
            },
            "",
        ),
        ({"PYTHONHOME": "/nonexistent", "PYTHONPATH": "{folder}", "PYTHONNOUSERSITE": "1"}, ""),
        ({}, "require-virtualenv = true\nconstraint = {folder}/constraints\ntarget = /nonexistent\nuser = true\n"),
    ],
    ids=["nothing", "require-virtualenv", "constraint", "others", "Python's", "file"],
)
def test_settings_that_have_no_business(
    tmp_path: pathlib.Path, index: pathlib.Path, variables: dict[str, str], configuration: str
) -> None:
    if subprocess.run([sys.executable, "-E", "-m", "pip", "--version"], capture_output=True, check=False).returncode:
        pytest.skip(f"{sys.executable} has no pip")
    (tmp_path / "constraints").write_text("nothing==2.0\n")
    (tmp_path / "pip.py").write_text("raise SystemExit('the wrong pip')\n")
    (tmp_path / "pip.conf").write_text(
        f"[global]\nfind-links = {index}\nno-index = true\n" + configuration.format(folder=tmp_path)
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))}
    environment |= {name: value.format(folder=tmp_path) for name, value in variables.items()}
    environment |= {"PIP_CONFIG_FILE": str(tmp_path / "pip.conf"), "HOME": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, "-E", str(SCRIPT), *FLAGS, "--dest", str(tmp_path / "wheels"), "nothing"],
        cwd=index,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert [path.name for path in (tmp_path / "wheels").iterdir()] == ["nothing-1.0-py3-none-any.whl"]
