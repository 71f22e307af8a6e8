"""Every venue folder is registered: a merge that loses a line shows here."""

from __future__ import annotations

from pathlib import Path

import fillwright.venues
from fillwright.venues.registry import VENUES


def test_every_venue_folder_is_registered() -> None:
    root = Path(fillwright.venues.__file__).parent
    folders = {path.parent.name for path in root.glob("*/program.py")} | {
        path.name for path in root.iterdir() if path.is_dir() and (path / "__init__.py").exists()
    }
    assert set(VENUES) == folders
    assert all(venue.id == name for name, venue in VENUES.items())
