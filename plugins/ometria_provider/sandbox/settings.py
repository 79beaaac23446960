"""What can be set on the sandbox, and the command-line flags for it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, Literal


@dataclasses.dataclass(frozen=True, kw_only=True)
class SandboxSettings:
    """Settings of the stand-in servers. Each is a flag of ``python -m ometria_provider.sandbox`` too.

    :param host: address to bind; keep it on this machine.
    :param port: 0 takes a free one.
    :param members: how many made-up members the loyalty programme has at first.
    :param seed: the same seed makes the same members.
    :param bulk_import: how many of them share one ``created_at``, as after an import.
    :param state: file that keeps contacts and changed members between runs; None keeps them in memory.
    :param lists: ids of the lists that exist; None: any id that a caller asks for or adds contacts to.
    :param dynamic_lists: ids of dynamic segments, which always exist.
    :param antavo_requests_per_minute: sliding-window log over 60 s, both Antavo APIs together; 0 = no limit.
    :param ometria_push_per_second: sliding-window log over 1 s; 0 = no limit.
    :param ometria_data_per_second: the same for every other Ometria call; 0 = no limit.
    :param most_events: how many events a page of the Loyalty API holds at most, however many are asked for.
    :param latency_ms: milliseconds that every answer of the three APIs takes.
    :param validation_delay_ms: milliseconds between the answer to a push and the validation of its records.
    :param require_signature: Antavo takes Escher-signed requests only; else the ``api_key`` parameter will do.
    :param antavo_key: the API key; ``antavo_secret`` signs with it in ``credential_scope`` (Read API:
        ``read_credential_scope``, the same when None).
    :param ometria_key: value of ``X-Ometria-Auth``.
    :param unknown_fields: what an undeclared field of a contact does (contract: unknown): ``store`` it, ``drop``
        it without a word, or ``error``: the record ends in the error log.
    :param declared_fields: the account's custom field ids; None: every id is declared.
    :param campaign_event_type: custom events of this type start the account's one campaign.
    :param campaign_template: file of its e-mail; None: one with the tags ``reward_name``, ``reward_description`` and
        ``balance``.
    :param queue_headers: answer pushes with ``X-QueueSize-Limit`` and ``X-QueueSize-Remaining``.
    :param faults: faults that are on from the start, as ``POST /_sandbox/faults`` takes them.
    """

    host: str = "127.0.0.1"
    port: int = 8765
    members: int = 2000
    seed: int = 2026
    bulk_import: int = 250
    state: Path | None = None
    lists: tuple[int, ...] | None = None
    dynamic_lists: tuple[int, ...] = (5100,)
    antavo_requests_per_minute: int = 1500
    ometria_push_per_second: int = 8
    ometria_data_per_second: int = 4
    most_events: int = 500
    latency_ms: int = 0
    validation_delay_ms: int = 200
    require_signature: bool = True
    antavo_key: str = "sandbox-key"
    antavo_secret: str = "sandbox-secret"  # noqa: S105 (made up: the sandbox guards nothing)
    credential_scope: str = "sandbox/api/antavo_request"
    read_credential_scope: str | None = None
    ometria_key: str = "sandbox-ometria-key"
    unknown_fields: Literal["store", "drop", "error"] = "store"
    declared_fields: tuple[str, ...] | None = None
    campaign_event_type: str = "loyalty_reward_claimed"
    campaign_template: Path | None = None
    queue_headers: bool = False
    faults: tuple[dict[str, Any], ...] = ()

    def arguments(self) -> list[str]:
        """Return the command-line flags that make these settings (defaults left out)."""
        flags: list[str] = []
        for field in dataclasses.fields(self):
            value, flag = getattr(self, field.name), "--" + field.name.replace("_", "-")
            if value == field.default:
                continue
            if isinstance(value, bool):
                flags.append(flag if value else flag.replace("--", "--no-", 1))
            elif isinstance(value, tuple):
                items = [json.dumps(item) if isinstance(item, dict) else str(item) for item in value]
                flags += [part for item in items for part in (flag, item)]
            else:
                flags += [flag, str(value)]
        return flags
