"""Every module has its test beside it: source and test find each other by path."""

from __future__ import annotations

from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
PACKAGE = CHECKOUT / "plugins" / "ometria_provider"
UNIT = CHECKOUT / "tests" / "unit"

#: Modules without a test file of their own, each with where it is tested instead. This list may only shrink.
TESTED_ELSEWHERE: dict[str, str] = {
    "campaign_factory.py": "dags/test_campaign_dags.py",
    "cli/checking.py": "unit/cli/test_cli_mappings.py",
    "cli/check.py": "unit/cli/test_cli_doctor.py",
    "cli/doctor_runs.py": "unit/cli/test_cli_doctor.py",
    "cli/doctor_systems.py": "unit/cli/test_cli_doctor.py",
    "cli/event_previewing.py": "unit/cli/test_cli_workflows.py",
    "cli/explaining.py": "integration/test_explaining.py",
    "cli/folder.py": "unit/cli/test_cli_mappings.py",
    "cli/output.py": "unit/cli/test_cli_app.py",
    "cli/previewing.py": "unit/cli/test_cli_mappings.py",
    "cli/retry.py": "integration/test_retry.py",
    "cli/reading.py": "unit/cli/test_cli_ledger.py",
    "cli/rebuilding.py": "integration/test_rebuilding.py",
    "ledger/rebuilding.py": "integration/test_rebuilding.py",
    "operators/rebuilding.py": "integration/test_rebuilding.py",
    "cli/tracing.py": "unit/cli/test_cli_ledger.py",
    "dagdefaults.py": "dags/test_dags.py",
    "dagdoc.py": "dags/test_dags.py",
    "exceptions.py": "dags/test_dags.py",  # which class is tried again
    "factory.py": "dags/test_dags.py",
    "hooks/antavo_answers.py": "unit/hooks/test_antavo_hook.py",
    "hooks/antavo_hosts.py": "unit/hooks/test_antavo_hook.py",
    "hooks/failure.py": "unit/hooks/test_base.py",
    "hooks/request.py": "unit/hooks/test_base.py",
    "ledger/arrivals.py": "unit/triggers/test_triggers_inbox.py",
    "ledger/migrations/env.py": "unit/ledger/test_engine.py",
    "ledger/migrations/versions/0001_initial_tables.py": "unit/ledger/test_engine.py",
    "ledger/migrations/versions/0002_trust.py": "unit/ledger/test_engine.py",
    "ledger/migrations/versions/0003_campaigns.py": "unit/ledger/test_engine.py",
    "ledger/migrations/versions/0004_webhook_tokens.py": "unit/ledger/test_engine.py",
    "ledger/migrations/versions/0005_incidents.py": "unit/ledger/test_engine.py",
    "ledger/migrations/versions/0006_silent_fields.py": "unit/ledger/test_engine.py",
    "ledger/migrations/versions/0007_approval.py": "unit/ledger/test_engine.py",
    "ledger/migrations/versions/0008_installations.py": "unit/ledger/test_engine.py",
    "ledger/migrations/versions/0009_campaign_runs.py": "unit/ledger/test_engine.py",
    "ledger/models.py": "unit/ledger/test_engine.py",
    "leftover.py": "integration/test_retry.py",
    "ledger/statements.py": "unit/ledger/test_contacts.py",
    "ledger/unsubscribes.py": "integration/test_consent.py",
    "mapping/checks.py": "unit/mapping/test_files.py",
    "mapping/forms.py": "unit/mapping/test_files.py",
    "mapping/splicing.py": "unit/mapping/test_editing.py",
    "mapping/issues.py": "unit/mapping/test_files.py",
    "notifications/ometria.py": "integration/test_alerts.py",
    "notifications/telling.py": "unit/operators/test_watch.py",
    "operators/accounts.py": "integration/test_bad_files.py",
    "operators/changes.py": "integration/test_incremental.py",
    "operators/base.py": "dags/test_dags.py",
    "operators/campaign.py": "integration/test_campaign_runs.py",
    "operators/chosen.py": "integration/test_chosen.py",
    "operators/stager.py": "integration/test_chosen.py",
    "operators/consent.py": "integration/test_consent.py",
    "operators/contact_file.py": "docs/test_push_example.py",
    "operators/file_verification.py": "integration/test_file_push.py",
    "operators/departures.py": "integration/test_departures.py",
    "operators/farewell.py": "integration/test_departures.py",
    "web/paused.py": "integration/test_overview_page.py",
    "operators/audience.py": "integration/test_campaigns.py",
    "operators/dispatcher.py": "integration/test_faults.py",
    "cli/forget.py": "integration/test_forgetting.py",
    "ledger/forgetting.py": "integration/test_forgetting.py",
    "operators/forgetting.py": "integration/test_forgetting.py",
    "operators/finding.py": "integration/test_customer_page.py",
    "cli/changing.py": "integration/test_comparing.py",
    "operators/comparing.py": "integration/test_comparing.py",
    "operators/explaining.py": "integration/test_explaining.py",
    "operators/event_sender.py": "integration/test_campaigns.py",
    "operators/newcomers.py": "integration/test_campaigns.py",
    "operators/candidate.py": "integration/test_campaigns.py",
    "operators/permission.py": "integration/test_campaigns.py",
    "operators/previewing.py": "unit/cli/test_cli_mappings.py",
    "operators/preparing.py": "integration/test_campaigns.py",
    "operators/error_log.py": "integration/test_late_errors.py",
    "operators/lineage.py": "integration/test_lineage.py",
    "operators/mapping.py": "integration/test_bad_members.py",
    "operators/ometria.py": "integration/test_clearing.py",
    "operators/opt_outs.py": "integration/test_consent.py",
    "operators/old_staging.py": "unit/operators/test_maintenance.py",
    "operators/owners.py": "integration/test_owners.py",
    "operators/params.py": "integration/test_bad_files.py",
    "operators/readback.py": "integration/test_late_errors.py",
    "operators/reconcile.py": "integration/test_late_errors.py",
    "operators/retry.py": "integration/test_retry.py",
    "operators/run.py": "integration/test_limits.py",
    "operators/sender.py": "integration/test_faults.py",
    "operators/unsubscribes.py": "integration/test_consent.py",
    "operators/push.py": "integration/test_clearing.py",
    "operators/slice_push.py": "integration/test_clearing.py",
    "operators/validate.py": "integration/test_rules.py",
    "operators/verification.py": "integration/test_late_errors.py",
    "report/shape.py": "unit/report/test_gathering.py",
    "report_text.py": "unit/report/test_gathering.py",
    "sandbox/catalogue.py": "unit/sandbox/test_sandbox_rewards.py",
    "sandbox/faults.py": "unit/sandbox/test_sandbox_server.py",
    "sandbox/settings.py": "unit/sandbox/test_sandbox_command.py",
    "sandbox/state.py": "unit/sandbox/test_sandbox_server.py",
    "sandbox/wire.py": "unit/sandbox/test_sandbox_server.py",
    "sandbox/words.py": "unit/sandbox/test_sandbox_members.py",
    "staging/tables.py": "integration/test_delivery.py",
    "web/export.py": "unit/web/test_runs.py",
    "web/retrying.py": "unit/web/test_runs.py",
    "addresses.py": "unit/web/test_plugin.py",
    "web/standing.py": "unit/web/test_overview.py",
    "web/reading.py": "unit/web/test_pages.py",
    "web/render.py": "unit/web/test_pages.py",
    "web/drafting.py": "unit/web/test_mappings.py",
    "web/keeping.py": "integration/test_webhooks.py",
    "web/webhooks.py": "integration/test_webhooks.py",
    "upkeep_factory.py": "dags/test_dags.py",
    "validation/rules.py": "unit/validation/test_suites.py",
    "workflows/checks.py": "unit/workflows/test_workflows_files.py",
    "web/audit.py": "integration/test_customer_page.py",
}


def modules() -> list[str]:
    """Return the modules that hold code."""
    found = (path for path in PACKAGE.rglob("*.py") if path.name not in {"__init__.py", "__main__.py"})
    return sorted(path.relative_to(PACKAGE).as_posix() for path in found)


def has_test(module: str) -> bool:
    """Say whether a test is named after the module: `test_x.py`, `test_<room>_x.py` or `test_x_….py`."""
    path = Path(module)
    room = path.parent.name
    tests = {file.stem for file in (UNIT / path.parent).glob("test_*.py")}
    names = (f"test_{path.stem}", f"test_{room}_{path.stem}")
    return any(test == name or test.startswith(f"{name}_") for test in tests for name in names)


@pytest.mark.parametrize("module", modules())
def test_module_has_a_test_beside_it_or_a_reason(module: str) -> None:
    assert has_test(module) or module in TESTED_ELSEWHERE, (
        f"write tests/unit/{Path(module).parent}/test_{Path(module).name}"
    )


@pytest.mark.parametrize("module", sorted(TESTED_ELSEWHERE))
def test_reason_is_not_stale(module: str) -> None:
    assert (PACKAGE / module).exists(), "the module is gone"
    assert not has_test(module), "the module has its test now: take it off the list"
    place = CHECKOUT / "tests" / TESTED_ELSEWHERE[module]
    assert place.exists(), f"{place} is not there"
