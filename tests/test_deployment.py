"""The deployment files say nothing that the product does not know: commands, settings, metrics, keys."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer.main
import yaml

from fillwright import observe
from fillwright.cli.main import app
from fillwright.config import ApiKey, Settings

ROOT = Path(__file__).parents[1]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
RENDER = yaml.safe_load((ROOT / "render.yaml").read_text())
KUBERNETES = list(yaml.safe_load_all((ROOT / "deploy/kubernetes/fillwright.yaml").read_text()))
DASHBOARD = json.loads((ROOT / "deploy/grafana/dashboards/fillwright.json").read_text())
VERBS = [
    *(
        "build",
        "start:api",
        "worker",
        "test:e2e",
        "dev",
        "test",
        "demo",
        "start",
        "db:init",
        "docker:up",
        "docker:down",
    ),
    *("docker:logs", "api:build", "api:dev", "test:watch", "test-client", "lint", "test:coverage", "test:order"),
    *("test:concurrent", "test:ws"),
]
"""Of the earlier engines' package scripts."""
IMAGES_OF_OTHERS = ("postgres", "redis", "prometheus", "grafana")


def walk(value: Any) -> Iterator[dict[str, Any]]:
    """Every mapping in `value`."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from walk(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from walk(inner)


def commands() -> Iterator[list[str]]:
    for name, service in COMPOSE["services"].items():
        if name not in IMAGES_OF_OTHERS:
            yield service["command"]
    for service in RENDER["services"]:
        for key in ("dockerCommand", "preDeployCommand"):
            if key in service:
                yield shlex.split(service[key])
    for line in (ROOT / "Procfile").read_text().splitlines():
        yield shlex.split(line.partition(":")[2])
    railway = json.loads((ROOT / "railway.json").read_text())["deploy"]
    for line in (railway["startCommand"], *railway["preDeployCommand"]):
        yield shlex.split(line)
    for mapping in walk(KUBERNETES):
        if "args" in mapping:
            yield mapping["args"]
    yield json.loads(re.findall(r"^CMD (.+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[-1])


@pytest.mark.parametrize("command", list(commands()), ids=" ".join)
def test_every_command_is_one_with_these_options(command: list[str]) -> None:
    assert command[0] == "fillwright"
    found, arguments = typer.main.get_command(app), command[1:]
    while hasattr(found, "commands"):
        found, arguments = found.commands[arguments[0]], arguments[1:]
    known = {option for parameter in found.params for option in parameter.opts}
    assert {word for word in arguments if word.startswith("--")} <= known


def test_every_setting_is_one() -> None:
    files = (
        "docker-compose.yml",
        "render.yaml",
        "deploy/kubernetes/fillwright.yaml",
        "deploy/compose.env.example",
        ".env.example",
    )
    text = "".join((ROOT / name).read_text() for name in files) + (ROOT / "Dockerfile").read_text()
    named = {name.lower() for name in re.findall(r"\bFILLWRIGHT_([A-Z_]+)\b", text)}
    assert named
    assert named <= set(Settings.model_fields)


def test_every_metric_of_the_dashboard_is_shown_by_the_engine() -> None:
    shown = {sample for metric in observe.REGISTRY.collect() for sample in _names(metric.name, metric.type)}
    asked = {
        name
        for panel in DASHBOARD["panels"]
        for target in panel["targets"]
        for name in re.findall(r"fillwright_\w+", target["expr"])
    }
    assert asked
    assert asked <= shown


def _names(name: str, kind: str) -> tuple[str, ...]:
    endings = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
    return tuple(name + ending for ending in endings.get(kind, ("",)))


def test_the_example_keys_are_keys_and_the_metrics_key_is_one_of_them() -> None:
    lines = (ROOT / "deploy/compose.env.example").read_text().splitlines()
    values = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    keys = msgspec.json.decode(values["FILLWRIGHT_API_KEYS"].strip("'"), type=tuple[ApiKey, ...])
    assert keys[0].sha256 == hashlib.sha256(values["METRICS_KEY"].encode()).hexdigest()
    needed = set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "docker-compose.yml").read_text())) | {"METRICS_KEY"}
    assert needed <= set(values)


def test_the_engines_containers_may_write_only_their_data() -> None:
    for name, service in COMPOSE["services"].items():
        if name not in IMAGES_OF_OTHERS:
            assert service["read_only"] is True
            assert service["cap_drop"] == ["ALL"]
    for mapping in walk(KUBERNETES):
        for container in mapping.get("containers", ()):
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert re.search(r"^USER \d+", (ROOT / "Dockerfile").read_text(), re.MULTILINE)


def test_what_compose_mounts_is_there() -> None:
    for service in COMPOSE["services"].values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert source in COMPOSE["volumes"] or (ROOT / source).exists()


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_of_the_earlier_engines_scripts_is_one_of_make(verb: str) -> None:
    asked = subprocess.run(["make", "--dry-run", verb], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert asked.returncode == 0, asked.stderr
    assert asked.stdout.strip()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [("live PROGRAMS=", "PROGRAMS=DIR"), ("live PROGRAMS=/nowhere", "PROGRAMS=DIR"), ("simulate SEEDS=0", "SEEDS=0"),
     ("simulate SEEDS=many", "SEEDS=many")],
)  # fmt: skip
def test_a_run_of_nothing_is_not_told_as_a_success(arguments: str, said: str) -> None:
    asked = ["make", "--old-file=.venv/.dev", *arguments.split()]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert done.returncode != 0
    assert said in done.stderr
