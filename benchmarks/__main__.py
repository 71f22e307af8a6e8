"""`python -m benchmarks [NAME…]`: every benchmark, or those named, each in a process of its own.

A benchmark is a module of this folder with a `main()`. One that fails does not stop the others; the exit status
is that of the worst.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """The modules of this folder that define `main`."""
    found = []
    for path in sorted(FOLDER.glob("*.py")):
        if path.stem.startswith("__"):
            continue
        body = ast.parse(path.read_text()).body
        if any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in body):
            found.append(path.stem)
    return found


def run(name: str) -> int:
    """Run one; its exit status."""
    print(f"\n=== {name} " + "=" * max(0, 74 - len(name)), flush=True)
    command = [sys.executable, "-c", f"from benchmarks import {name}; {name}.main()"]
    return subprocess.run(command, cwd=FOLDER.parent, check=False).returncode


def main() -> int:
    wanted = sys.argv[1:] or names()
    unknown = [name for name in wanted if name not in names()]
    if unknown:
        print(f"no such benchmark: {', '.join(unknown)}; there are: {', '.join(names())}", file=sys.stderr)
        return 2
    failed = [name for name in wanted if run(name)]
    if failed:
        print(f"\nfailed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
