"""The wheel: everything that the package needs at run time is inside, and it runs from anywhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIMIT_S = 100
QUICK = {
    "FILLWRIGHT_PAPER_EXECUTION_DELAY_MIN_MS": "0",
    "FILLWRIGHT_PAPER_EXECUTION_DELAY_MAX_MS": "0",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling", reason="make setup installs the build backend")
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=LIMIT_S,
    )
    (built,) = folder.glob("*.whl")
    return built


def test_it_holds_every_file_of_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    source = ROOT / "src"
    wanted = {
        str(path.relative_to(source))
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert any(name.endswith(".sql") for name in wanted)
    assert "fillwright/py.typed" in wanted
    assert wanted <= inside


def test_it_runs_from_another_folder(wheel: Path, tmp_path: Path) -> None:
    installed, elsewhere = tmp_path / "installed", tmp_path / "elsewhere"
    elsewhere.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    program = f"import sys; sys.path.insert(0, {str(installed)!r}); from fillwright.cli import main; main()"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("FILLWRIGHT_", "PYTHON"))}
    done = subprocess.run(
        [sys.executable, "-c", program, "demo", "--json"],
        cwd=elsewhere,
        env={**environment, **QUICK},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout.splitlines()[-1])["consistent"] is True
    assert list(elsewhere.iterdir()) == []
