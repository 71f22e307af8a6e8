"""How every benchmark prints: a figure beside its goal and a baseline measured in the same run."""

from __future__ import annotations

import msgspec


class Figure(msgspec.Struct, frozen=True):
    """`goal` is an upper bound where `at_most`, else a lower bound; None: only recorded. `baseline` says what it
    is compared with and what that gave in the same run."""

    name: str
    value: float
    unit: str
    goal: float | None = None
    at_most: bool = True
    baseline: str = ""

    @property
    def met(self) -> bool | None:
        if self.goal is None:
            return None
        return self.value <= self.goal if self.at_most else self.value >= self.goal


def show(title: str, figures: list[Figure]) -> None:
    """Print the figures as a table."""
    print(f"\n{title}")
    width = max((len(figure.name) for figure in figures), default=0)
    for figure in figures:
        goal = "" if figure.goal is None else f"goal {'≤' if figure.at_most else '≥'} {figure.goal:,g}"
        verdict = {True: "met", False: "MISSED", None: ""}[figure.met]
        value = f"{figure.value:,.3f}".rstrip("0").rstrip(".")
        print(f"  {figure.name:<{width}}  {value:>12} {figure.unit:<6} {goal:<14} {verdict:<6}  {figure.baseline}")
