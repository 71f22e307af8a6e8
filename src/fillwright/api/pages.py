"""The two pages for people: where to go, and the API's reference. Nothing is loaded from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

import msgspec

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1b1f;background:#fff}
h1 small{font-size:.9rem;font-weight:600;padding:.15rem .5rem;border-radius:.3rem;background:#e7f0ff;color:#0b3d91}
code,pre{font:13px/1.5 ui-monospace,monospace;background:#f4f4f6;border-radius:.3rem}
code{padding:.1rem .3rem}pre{padding:.8rem;overflow:auto}
section{border-top:1px solid #ddd;padding:.6rem 0}h3{margin:.4rem 0}b.method{display:inline-block;min-width:3.5rem}
table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.2rem .6rem .2rem 0}
summary{cursor:pointer}
@media(prefers-color-scheme:dark){body{background:#16161a;color:#e6e6ea}code,pre{background:#25252b}
section{border-color:#333}a{color:#8ab4ff}h1 small{background:#1d3a6b;color:#dbe8ff}}
"""


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>{body}</body></html>"
    )


_LINKS = (
    ("/static/client.html", "try it: submit an order, watch it live"),
    ("/docs", "the API's reference"),
    ("/openapi.json", "the same for machines"),
    ("/v1/stats", "queue, outcomes, latencies"),
    ("/v1/pools", "what can be traded now"),
    ("/v1/tokens", "tokens by symbol and mint"),
    ("/v1/orders", "the newest orders"),
    ("/health/ready", "whether orders are accepted"),
    ("/metrics", "for Prometheus"),
)


def landing(mode: str, version: str) -> str:
    """What this is, in which mode it runs, and where to go."""
    links = "".join(f'<li><a href="{path}"><code>{path}</code></a> {text}</li>' for path, text in _LINKS)
    return _page(
        f"Fillwright ({mode})",
        f"<h1>Fillwright <small>{escape(mode)} mode</small></h1><p>Order execution for Solana DEXes, version "
        f"{escape(version)}. In <b>{escape(mode)}</b> mode "
        + ("no real money moves." if mode == "paper" else "orders are signed and sent to the chain.")
        + f"</p><ul>{links}</ul><p>Orders go to <code>POST /v1/orders</code>; their events come from "
        "<code>GET /v1/orders/{order_id}/events/stream</code> or the WebSocket <code>/v1/stream</code>.</p>",
    )


def docs(specification: Mapping[str, Any], mode: str) -> str:
    """The OpenAPI document as one page."""
    info = specification["info"]
    title = f"{info['title']} API {info['version']}"
    paragraphs = "".join(f"<p>{_prose(text)}</p>" for text in info["description"].strip().split("\n\n"))
    operations = "".join(_operations(specification["paths"]))
    schemas = "".join(_schema(name, held) for name, held in sorted(specification["components"]["schemas"].items()))
    return _page(
        title,
        f'<h1>{escape(title)} <small>{escape(mode)} mode</small></h1>{paragraphs}<p><a href="/openapi.json">'
        f"openapi.json</a></p><h2>Operations</h2>{operations}<h2>Shapes</h2>{schemas}",
    )


def _operations(paths: Mapping[str, Any]) -> Iterator[str]:
    for path, methods in sorted(paths.items()):
        for method, operation in methods.items():
            yield (
                f'<section><h3><b class="method">{method.upper()}</b> <code>{escape(path)}</code></h3>'
                f"<p>{_prose(operation.get('description', ''))}</p>{_parameters(operation)}{_body(operation)}"
                f"{_responses(operation)}</section>"
            )


def _parameters(operation: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(one['name'])}</code></td><td>{escape(one['in'])}</td>"
        f"<td>{_prose(one.get('description', ''))}</td></tr>"
        for one in operation.get("parameters", ())
    )
    return f"<table>{rows}</table>" if rows else ""


def _body(operation: Mapping[str, Any]) -> str:
    found = ""
    for content in operation.get("requestBody", {}).get("content", {}).values():
        found += f"<p>Body: {_link(content['schema'])}</p>"
        if "example" in content:
            found += f"<pre>{escape(msgspec.json.encode(content['example']).decode())}</pre>"
    return found


def _responses(operation: Mapping[str, Any]) -> str:
    rows = ""
    for status, response in operation["responses"].items():
        shapes = " ".join(_link(content["schema"]) for content in response.get("content", {}).values())
        rows += f"<tr><td><code>{status}</code></td><td>{_prose(response['description'])}</td><td>{shapes}</td></tr>"
    return f"<table>{rows}</table>"


def _link(schema: Mapping[str, Any]) -> str:
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    return f'<a href="#{escape(name)}">{escape(name)}</a>' if name else escape(str(schema.get("type", "")))


def _schema(name: str, held: Mapping[str, Any]) -> str:
    text = msgspec.json.format(msgspec.json.encode(held), indent=2).decode()
    label = f"<summary><code>{escape(name)}</code></summary>"
    # The name stands inside, because a browser unfolds what it is led into.
    return f'<details>{label}<pre id="{escape(name)}">{escape(text)}</pre></details>'


def _prose(text: str) -> str:
    """Text in which `code` stands between backticks."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
