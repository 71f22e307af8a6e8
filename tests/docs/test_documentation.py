"""The documentation against the code: every setting, every code, every link, every Python example."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from fillwright import wire
from fillwright.config import Settings
from fillwright.domain.errors import Refusal
from fillwright.domain.transactions import RevertReason

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
API = (ROOT / "docs" / "api.md").read_text()
SOURCE = ROOT / "src" / "fillwright"
PUBLIC = ("api", "domain", "execution", "routing")
INTERNAL = frozenset(
    {
        "already_processed", "conflict", "config_error", "invalid_input", "pool_refused", "quote_refused",
        "stale_lease", "unauthorized", "version_conflict",
    }
)  # fmt: skip
"""Codes of errors that never leave the engine, or only under a more telling code."""
ROW = re.compile(r"^\| `FILLWRIGHT_([A-Z_0-9]+)` \| (?:`([^`]*)`)? ?\| (.+) \|$", re.MULTILINE)


def test_every_setting_is_in_the_table_with_its_default() -> None:
    rows = {name.lower(): default for name, default, _ in ROW.findall((ROOT / "docs" / "operating.md").read_text())}
    defaults = {}
    for name, field in Settings.model_fields.items():
        value = field.default
        empty = value is None or value == ()
        defaults[name] = "" if empty else str(value).lower() if isinstance(value, bool) else str(value)
    assert rows == defaults


def codes() -> set[str]:
    """Every code that the public packages name; the client dialects have codes and pages of their own."""
    found: set[str] = set(RevertReason) | set(Refusal)
    for package in PUBLIC:
        for path in sorted((SOURCE / package).rglob("*.py")):
            if "compat" in path.parts:
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                found |= set(_codes_of(node))
    return found - INTERNAL


def _codes_of(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Call):
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        position = {"InvalidInput": 0, "InvalidParameter": 0, "OrderError": 0, "plain_problem": 1}.get(name)
        values = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
        values += node.args[position : position + 1] if position is not None else []
        return [value.value for value in values if isinstance(value, ast.Constant) and isinstance(value.value, str)]
    if isinstance(node, ast.ClassDef):
        assigned = [line for line in node.body if isinstance(line, ast.Assign | ast.AnnAssign)]
        return [
            line.value.value
            for line in assigned
            if ast.unparse(line).startswith("code") and isinstance(line.value, ast.Constant)
        ]
    return []


def test_every_public_code_is_documented() -> None:
    documented = set(re.findall(r"`([a-z_]+)`", API))
    covered = {code for code in codes() if code in documented or code.startswith(("store_", "chain_"))}
    assert codes() - covered == set()
    assert len(codes()) > 60


def test_every_type_of_event_is_documented() -> None:
    documented = set(re.findall(r"`([a-z_]+)`", API))
    assert set(wire.EVENT_DATA) <= documented


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_examples_compile(page: Path) -> None:
    for example in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        compile(example, str(page), "exec")
