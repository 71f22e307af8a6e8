"""An order's events folded into the steps that the dialects' clients know.

In: events, in order. Out: steps. Pure. A try that is not the last never shows as failed: the order is pending
again. What a client can't see (a block seen, a release) makes no step.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from fillwright.api.compat.dialects import STEPS
from fillwright.domain.lifecycle import TERMINAL, apply, begin
from fillwright.domain.orders import Order, OrderEvent, Retrying, Routed
from fillwright.domain.routes import Candidate


class Step(msgspec.Struct, frozen=True):
    """One step: its name, when, and the order then.

    `candidates`: every pool's answer, at the step that chose. `asking`: the venues are being compared; only
    dialects with two routing messages show it. `retry`: another try follows; only dialects that show errors
    before the end show it where the name does not change.
    """

    name: str
    at_ms: int
    order: Order
    candidates: tuple[Candidate, ...] = ()
    asking: bool = False
    retry: bool = False
    repeats: bool = False
    """The name is the same as the step's before."""

    @property
    def is_last(self) -> bool:
        return self.order.status in TERMINAL


class Progress:
    """The fold of one order's events so far."""

    def __init__(self) -> None:
        self.order: Order | None = None
        self.candidates: tuple[Candidate, ...] = ()
        """Of the newest routing decision."""
        self._shown = ""

    def take(self, event: OrderEvent) -> list[Step]:
        """The steps that `event` brings. An event that was taken before brings none."""
        before = self.order
        if before is None:
            self.order = begin(event)
        elif event.number <= before.version:
            return []
        else:
            self.order = apply(before, event)
        name = STEPS[self.order.status]
        repeats = name == self._shown
        self._shown = name
        match event.body:
            case Routed(candidates=candidates):
                self.candidates = candidates
                if repeats:
                    return []
                asking = Step(name, event.at_ms, before or self.order, asking=True)
                return [asking, Step(name, event.at_ms, self.order, candidates=candidates)]
            case Retrying():
                return [Step(name, event.at_ms, self.order, retry=True, repeats=repeats)]
            case _ if repeats:
                return []
            case _:
                return [Step(name, event.at_ms, self.order)]


def steps_of(events: Iterable[OrderEvent]) -> list[Step]:
    """All steps of an order's log so far."""
    progress = Progress()
    return [step for event in events for step in progress.take(event)]


def shown(steps: Sequence[Step], *, asking: bool = False, retries: bool = False) -> list[Step]:
    """The steps that a dialect shows."""
    return [step for step in steps if is_shown(step, asking=asking, retries=retries)]


def is_shown(step: Step, *, asking: bool = False, retries: bool = False) -> bool:
    """Whether a dialect shows `step`: with two routing messages or one, with errors before the end or not."""
    if step.asking:
        return asking
    return retries or not step.repeats
