"""Finding text in an installation: toy standard libraries and toy distributions."""

from __future__ import annotations

import platform
from pathlib import Path

from dolma_pipeline.collect import installed


def write(path: Path, text: str) -> int:
    """Writes `text`; returns its bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return len(text.encode())


def install(site: Path, name: str, version: str, files: dict[str, str], description: str = "") -> None:
    """A distribution as an installer leaves it: files, METADATA and RECORD."""
    info = f"{name}-{version}.dist-info"
    rows = [f"{path},sha256=x,{write(site / path, text)}" for path, text in files.items()]
    write(site / info / "METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\n{description}")
    write(site / info / "RECORD", "\n".join([*rows, f"{info}/RECORD,,", "../../bin/tool.py,sha256=x,9"]) + "\n")


def test_standard_library_leaves_out_tests_packages_and_the_build(tmp_path: Path) -> None:
    kept = {"os.py": "x = 1\n", "json/decoder.py": "y = 2\n"}
    left_out = [
        "site-packages/numpy/core.py",
        "dist-packages/six.py",
        "test/test_os.py",
        "ctypes/tests/test_a.py",
        "_sysconfigdata__linux_.py",
        "config-3.11-x86_64/python-config.py",
        "LICENSE.txt",
    ]
    for name, text in kept.items():
        write(tmp_path / name, text)
    for name in left_out:
        write(tmp_path / name, "z = 3\n")
    write(tmp_path / "empty.py", "")
    write(tmp_path / "table.py", "#" * (installed.LARGEST_FILE + 1))
    found = {item.key: item for item in installed.standard_library(tmp_path)}
    assert {key: (item.size, item.version, item.read()) for key, item in found.items()} == {
        key: (6, platform.python_version(), text) for key, text in kept.items()
    }


def test_source_is_read_in_the_encoding_it_declares(tmp_path: Path) -> None:
    (tmp_path / "old.py").write_bytes(b"# -*- coding: latin-1 -*-\r\nname = '\xe9'\r\n")
    (item,) = installed.standard_library(tmp_path)
    assert item.read() == "# -*- coding: latin-1 -*-\nname = 'é'\n"


def test_modules_and_licences_come_from_the_record(tmp_path: Path) -> None:
    files = {
        "toy/__init__.py": "a = 1\n",
        "toy/_vendor/rich/console.py": "b = 2\n",
        "toy/tests/test_toy.py": "c = 3\n",
        "toy/license.py": "d = 4\n",
        "toy/_vendor/rich/LICENSE": "free\n",
        "toy-1.2.dist-info/licenses/COPYING.txt": "free too\n",
        "toy/py.typed": "",
    }
    install(tmp_path, "toy", "1.2", files)
    write(tmp_path / "toy" / "not_recorded.py", "e = 5\n")
    modules = {item.key: item.read() for item in installed.package_modules([str(tmp_path)])}
    assert modules == {
        "toy/__init__.py": "a = 1\n",
        "toy/_vendor/rich/console.py": "b = 2\n",
        "toy/license.py": "d = 4\n",
    }
    licenses = {item.key: (item.version, item.read()) for item in installed.license_files([str(tmp_path)])}
    assert licenses == {
        "toy/_vendor/rich/LICENSE": ("1.2", "free\n"),
        "toy-1.2.dist-info/licenses/COPYING.txt": ("1.2", "free too\n"),
    }


def test_names_of_licences() -> None:
    legal = [
        "LICENSE",
        "a/LICENCE.md",
        "COPYING",
        "licenses/NOTICE.txt",
        "LICENSE.APACHE",
        "LICENSE-MIT",
        "a_license.rst",
    ]
    other = ["license.py", "a/licensing.txt", "relicense", "LICENSE.json", "licenses/AUTHORS", "noticed.md"]
    assert [name for name in legal + other if installed.LEGAL.search(name)] == legal


def test_first_distribution_of_a_name_wins_and_ours_is_left_out(tmp_path: Path) -> None:
    install(tmp_path / "a", "Toy.Box", "2.0", {}, "The second edition.\n")
    install(tmp_path / "b", "toy_box", "1.0", {}, "The first edition.\n")
    install(tmp_path / "b", "silent", "1.0", {})
    install(tmp_path / "b", "dolma-pipeline", "0.1", {}, "Us.\n")
    found = list(installed.package_descriptions([str(tmp_path / "a"), str(tmp_path / "b")]))
    assert [(item.key, item.version, item.read()) for item in found] == [("toy-box", "2.0", "The second edition.\n")]
    assert [name for name, _ in installed.distributions([str(tmp_path / "b")])] == ["silent", "toy-box"]
