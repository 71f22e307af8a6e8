"""`python -m fillwright` is the `fillwright` command."""

from __future__ import annotations

from fillwright.cli import main

if __name__ == "__main__":
    main()
