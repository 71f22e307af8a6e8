"""Every venue folder is registered: a merge that loses a line shows here."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import fillwright
from fillwright.venues.registry import FOLDERS, VENUES

SOURCE = Path(fillwright.__file__).parent
ROOT = SOURCE / "venues"
BY_NAME = {
    "chain/swaps.py": "the signer's own reading of swap instructions, written apart from the venues on purpose",
    "paper/default_market.py": "the two kinds of pool that the simulated market is made of",
    "paper/generator.py": "made-up pools of every kind for large markets",
    "paper/whole_range.py": "the kind of pool that both of these make alike",
    "routing/timing.py": "how long a curve holds; a venue that it does not know is computed anew each time",
    "venues/vectors.py": "the recorded cases of CPMM's own calculator, which name no pool",
}


def test_every_venue_folder_is_registered() -> None:
    folders = {path.parent.name for path in ROOT.glob("*/program.py")} | {
        path.name for path in ROOT.iterdir() if path.is_dir() and (path / "__init__.py").exists()
    }
    assert set(FOLDERS) == folders
    assert all(VENUES[name].id == name for name in FOLDERS)


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_venue_imports_no_other_one(folder: str) -> None:
    others = tuple(f"fillwright.venues.{other}" for other in FOLDERS if other != folder)
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not [name for name in names if name.startswith(others)], path


def test_nothing_outside_its_folder_needs_a_venue_by_name() -> None:
    """Adding a venue touches its folder and the registry: what is tabled elsewhere by venue has to work without it."""
    naming = set()
    for path in SOURCE.rglob("*.py"):
        inside = path.relative_to(SOURCE)
        if inside.parts[:1] == ("venues",) and inside.parts[1] in (*FOLDERS, "registry.py"):
            continue
        tree = ast.parse(path.read_text())
        texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        if texts & set(FOLDERS) or any(
            f"venues.{folder}" in (module or "") for module in modules for folder in FOLDERS
        ):
            naming.add(inside.as_posix())
    assert naming == set(BY_NAME)
