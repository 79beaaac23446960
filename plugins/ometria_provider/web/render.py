"""Make pages: templates, what all of them know, and the files that they load."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from fastapi import Request
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse

from ometria_provider import __version__
from ometria_provider.addresses import PAGES
from ometria_provider.text import cell, duration, json_text, members, moment

_HERE = Path(__file__).parent
STATIC = _HERE / "static"

#: What the navigation of every page shows: name, and what follows `/ometria`.
NAV = (("Overview", "/"), ("Runs", "/runs"), ("Customer", "/customers"), ("Mappings", "/mappings"))


def prose(text: object) -> Markup:
    """Return a sentence as a page shows it: what stands between backticks as code, all of it escaped."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704  # escaped before


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        cell=cell, duration=duration, json=json_text, members=members, moment=moment, prose=prose
    )
    return environment


_TEMPLATES = _environment()


def render(
    request: Request, template: str, *, user: BaseUser | None = None, status: int = 200, **known: Any
) -> HTMLResponse:
    """Return a page.

    :param template: its file in `templates/`.
    :param known: what it shows.
    """
    root = request.scope.get("root_path", "").rstrip("/")
    text = _TEMPLATES.get_template(template).render(
        root=root,
        airflow=root.removesuffix(PAGES),
        nav=NAV,
        here=request.url.path.removeprefix(root) or "/",
        user=user.get_name() if user else None,
        version=__version__,
        static=lambda name: f"{root}/static/{name}?v={digest(name)}",
        **known,
    )
    return HTMLResponse(text, status, {"Cache-Control": "no-store"})


@cache
def files() -> frozenset[str]:
    """Return the names of the files that pages load."""
    return frozenset(path.name for path in STATIC.iterdir() if path.is_file())


@cache
def digest(name: str) -> str:
    """Return what stands in a file's address, so that browsers keep it until it changes."""
    return hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
