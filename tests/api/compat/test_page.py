"""The client page in a real browser: submit, watch every state arrive, read the history."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from api.compat import browser
from api.compat.engine import Client

pytestmark = pytest.mark.skipif(browser.found() is None, reason="no Chromium here")

DONE = "[...document.querySelectorAll('#steps li.done')].map(x => x.firstChild.textContent).join()"


@pytest.mark.parametrize(("width", "dark"), [(1200, False), (390, True)])
def test_an_order_is_submitted_watched_and_listed(team: Client, tmp_path: Path, width: int, dark: bool) -> None:
    with browser.opened(f"{team.url}/static/client.html", width=width, dark=dark) as page:
        page.until("document.querySelectorAll('#tokenIn option').length > 2")
        assert page.evaluate("document.getElementById('mode').textContent") == "paper mode"
        page.evaluate("document.getElementById('amount').value = '0.3'; document.getElementById('quote').click()")
        page.until("document.getElementById('note').textContent.startsWith('About ')")
        page.evaluate("document.getElementById('form').requestSubmit()")
        page.until(f"{DONE} === 'pending,routing,building,submitted,confirmed'")
        assert page.evaluate("document.querySelectorAll('.quote').length") == 2
        assert page.evaluate("document.querySelectorAll('.quote.won').length") == 1
        assert page.evaluate("document.getElementById('facts').textContent.includes('Signature')")
        page.until("document.querySelector('#rows .chosen .pill')?.textContent === 'confirmed'")
        assert page.evaluate("document.querySelector('#rows tr').children[2].textContent") == "0.3"
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.photograph(Path(os.environ.get("SCREENSHOTS", tmp_path)) / f"client-{width}.png")
        assert page.complaints == []


def test_a_wrong_amount_is_said_and_nothing_is_sent(team: Client) -> None:
    before = len(team.get("/api/orders?limit=1000", **{"X-Compat-Dialect": "002"}).json())
    with browser.opened(f"{team.url}/client.html") as page:
        page.until("document.querySelectorAll('#tokenIn option').length > 2")
        page.evaluate(
            "document.getElementById('amount').value = '1e5'; document.getElementById('form').requestSubmit()"
        )
        page.until("document.getElementById('note').classList.contains('bad')")
    after = len(team.get("/api/orders?limit=1000", **{"X-Compat-Dialect": "002"}).json())
    assert after == before


def test_an_old_order_is_watched_from_the_history(unlucky: Client) -> None:
    order_id = unlucky.ended("002")
    with browser.opened(f"{unlucky.url}/static/client.html") as page:
        page.until("document.querySelectorAll('#rows tr').length > 0")
        page.evaluate("document.querySelector('#rows tr').click()")
        page.until("document.querySelector('#steps li.failed') !== null")
        facts = page.evaluate("document.getElementById('facts').textContent")
        assert order_id in facts
        assert "Tries2" in facts
