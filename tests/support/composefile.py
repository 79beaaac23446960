"""A compose file as `docker compose` reads it: `.env`, interpolation, profiles, what depends on what.

Only as much of the specification as docker-compose.yaml uses; anything else is an error, not a guess.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

_VARIABLE = re.compile(
    r"\$(?:(?P<escaped>\$)|\{(?P<name>\w+)(?:(?P<how>:-|:\?)(?P<other>(?:\$\{[^}]*\}|[^}])*))?\}|(?P<bad>.))"
)


class ComposeError(Exception):
    """The file says what this reader does not know, or misses a variable."""


@dataclass(frozen=True)
class Service:
    """One service, interpolated.

    :param is_built: whether its image is one that a service builds.
    :param command: as a list; None: the image's own.
    :param environment: what its container gets; a variable without a value that is set nowhere is not in it.
    :param depends_on: condition by service; those that are not in the chosen profiles and not required are left out.
    :param ports: of the container, published or exposed.
    :param published: port of the container by address on the host.
    :param mounts: source (named volume or path) by path in the container; read-only ones end in `:ro`.
    :param configs: content by path in the container.
    :param health: what to run to see that it is well; None: nothing says so.
    :param replicas: how many, unless somebody scales.
    """

    name: str
    image: str
    is_built: bool
    command: list[str] | None
    environment: Mapping[str, str]
    depends_on: Mapping[str, str]
    ports: frozenset[int]
    published: Mapping[str, int]
    mounts: Mapping[str, str]
    configs: Mapping[str, str]
    health: list[str] | None
    replicas: int

    @property
    def is_job(self) -> bool:
        """Say whether it ends by itself: only such a one is not looked after by a health check."""
        return self.health is None


def read_env_file(path: Path) -> dict[str, str]:
    """Return the variables of a `.env` file; what stands in single quotes is taken literally."""
    found = {}
    for line in path.read_text().splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found[name] = value[1:-1] if value[:1] == "'" == value[-1:] else value
    return found


def interpolate(text: str, variables: Mapping[str, str]) -> str:
    """Return a text with `${NAME}`, `${NAME:-default}`, `${NAME:?complaint}` and `$$` resolved, also in a default.

    :raises ComposeError: for a variable that is missing, and for any other use of `$`.
    """

    def value(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        if match["bad"]:
            raise ComposeError(f"{match[0]!r} in {text!r} is no variable; a dollar sign is written $$")
        found = variables.get(match["name"], "")
        if found or match["how"] is None:
            if match["how"] is None and match["name"] not in variables:
                raise ComposeError(f"{match['name']} is not set")
            return found
        if match["how"] == ":?":
            raise ComposeError(f"{match['name']} is not set: {match['other']}")
        return interpolate(match["other"], variables)

    return _VARIABLE.sub(value, text)


def load(path: Path, variables: Mapping[str, str]) -> dict[str, Any]:
    """Return a compose file's content, interpolated, its anchors merged."""

    def resolve(node: Any) -> Any:
        if isinstance(node, Mapping):
            return {key: resolve(value) for key, value in node.items()}
        if isinstance(node, list):
            return [resolve(value) for value in node]
        return interpolate(node, variables) if isinstance(node, str) else node

    content: dict[str, Any] = resolve(YAML(typ="safe").load(path.read_text()))
    return content


def services(path: Path, variables: Mapping[str, str]) -> dict[str, Service]:
    """Return the services of the profiles that `COMPOSE_PROFILES` names, each after those that it depends on."""
    content = load(path, variables)
    profiles = {each for each in variables.get("COMPOSE_PROFILES", "").split(",") if each}
    chosen = {
        name: each
        for name, each in content["services"].items()
        if not each.get("profiles") or profiles & set(each["profiles"])
    }
    found = {name: _service(name, each, content, chosen, variables) for name, each in chosen.items()}
    ordered: dict[str, Service] = {}
    while len(ordered) < len(found):
        ready = [
            name for name, each in found.items() if name not in ordered and each.depends_on.keys() <= ordered.keys()
        ]
        if not ready:
            raise ComposeError(f"These depend on each other: {sorted(found.keys() - ordered.keys())}")
        ordered |= {name: found[name] for name in ready}
    return ordered


def _service(
    name: str, node: Mapping[str, Any], content: Mapping[str, Any], chosen: Iterable[str], variables: Mapping[str, str]
) -> Service:
    if unknown := node.keys() - _KNOWN:
        raise ComposeError(f"{name} has keys that this reader does not know: {sorted(unknown)}")
    depends_on = {}
    for other, how in node.get("depends_on", {}).items():
        if other in chosen:
            depends_on[other] = how["condition"]
        elif how.get("required", True):
            raise ComposeError(f"{name} depends on {other}, which is in none of the chosen profiles")
    environment = {
        key: variables.get(key) if value is None else str(value) for key, value in node.get("environment", {}).items()
    }
    published = dict(_published(each) for each in node.get("ports", []))
    return Service(
        name=name,
        image=node["image"],
        is_built=node["image"] in {each["image"] for each in content["services"].values() if "build" in each},
        command=node.get("command"),
        environment={key: value for key, value in environment.items() if value is not None},
        depends_on=depends_on,
        ports=frozenset({int(each) for each in node.get("expose", [])} | set(published.values())),
        published=published,
        mounts=dict(_mount(each) for each in node.get("volumes", [])),
        configs={each["target"]: content["configs"][each["source"]]["content"] for each in node.get("configs", [])},
        health=_health(name, node.get("healthcheck", {})),
        replicas=int(node.get("deploy", {}).get("replicas", 1)),
    )


_KNOWN = {
    "build",
    "cap_drop",
    "command",
    "configs",
    "depends_on",
    "deploy",
    "environment",
    "expose",
    "healthcheck",
    "image",
    "init",
    "logging",
    "ports",
    "profiles",
    "pull_policy",
    "restart",
    "security_opt",
    "stop_grace_period",
    "stop_signal",
    "volumes",
}


def _published(text: str) -> tuple[str, int]:
    address, port, inside = text.rsplit(":", 2)
    return f"{address}:{port}", int(inside)


def _mount(text: str) -> tuple[str, str]:
    source, target, *mode = text.split(":")
    return target, ":".join([source, *mode])


def _health(name: str, node: Mapping[str, Any]) -> list[str] | None:
    if node.get("disable"):
        return None
    if not node:
        raise ComposeError(f"{name} has no health check, and does not say that it needs none")
    kind, *command = node["test"]
    return ["sh", "-c", *command] if kind == "CMD-SHELL" else command
