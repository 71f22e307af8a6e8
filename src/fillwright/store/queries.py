"""Named SQL statements from the files in `sql/`, and the migrations of each dialect.

A statement begins with a line `-- name: what it does.` and ends with a semicolon. Nothing is ever put
together from a client's text.
"""

from __future__ import annotations

import re
from importlib.resources import files
from typing import NamedTuple

_HEAD = re.compile(r"^-- ([a-z_]+): .+$", re.MULTILINE)
_MIGRATION = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")


class Migration(NamedTuple):
    """One forward step of the schema. Numbers count from 1 without gaps."""

    number: int
    name: str
    script: str


def load(dialect: str) -> dict[str, str]:
    """The statements of `sql/<dialect>.sql` by name. Raises ValueError where two share one."""
    text = (files(__package__) / "sql" / f"{dialect}.sql").read_text(encoding="utf-8")
    parts = _HEAD.split(text)[1:]
    statements: dict[str, str] = {}
    for name, statement in zip(parts[::2], parts[1::2], strict=True):
        if name in statements:
            raise ValueError(f"two statements are called {name}")
        statements[name] = statement.strip().removesuffix(";")
    return statements


def migrations(dialect: str) -> list[Migration]:
    """The migrations of `migrations/<dialect>/`, in order. Raises ValueError for a gap."""
    found = []
    for file in (files(__package__) / "migrations" / dialect).iterdir():
        match = _MIGRATION.fullmatch(file.name)
        if match is not None:
            found.append(Migration(int(match[1]), file.name, file.read_text(encoding="utf-8")))
    found.sort()
    if [step.number for step in found] != list(range(1, len(found) + 1)):
        raise ValueError(f"the migrations of {dialect} have a gap")
    return found
