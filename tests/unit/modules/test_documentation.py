# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation says what the modules do: options, environment, examples, results."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

import pytest
import yaml
from ansible_collections.hwcloud.recovery.plugins.doc_fragments import connection, journal, waiting
from ansible_collections.hwcloud.recovery.plugins.module_utils._run.options import (
    CONNECTION_SPEC,
    CREDENTIALS,
    ENVIRONMENT,
    JOURNAL_SPEC,
    WAITING_SPEC,
)
from ansible_collections.hwcloud.recovery.plugins.module_utils._run.targets import PLAN_SPEC, RUN_SPEC
from simulation.cases import ARCHIVE, FILES, backup_id, disk_id
from simulator.rig import hss_id

from .conftest import Stage

PACKAGE = "ansible_collections.hwcloud.recovery.plugins.modules."
NAMES = (
    "backup_info",
    "hss_backup_restore",
    "recovery_plan",
    "recovery_run",
    "restore_job_info",
    "vbs_disk_restore",
)
MODULES: Mapping[str, ModuleType] = {name: importlib.import_module(PACKAGE + name) for name in NAMES}
SPECS: Mapping[str, Mapping[str, Any]] = {
    **{name: {**CONNECTION_SPEC, **module.SPEC} for name, module in MODULES.items() if hasattr(module, "SPEC")},
    "recovery_plan": {**CONNECTION_SPEC, **PLAN_SPEC, **JOURNAL_SPEC},
    "recovery_run": RUN_SPEC,
}
FRAGMENTS = [(connection, CONNECTION_SPEC), (waiting, WAITING_SPEC), (journal, JOURNAL_SPEC)]


def read(text: str) -> Any:
    return yaml.safe_load(text)


@pytest.mark.parametrize(("fragment", "spec"), FRAGMENTS, ids=["connection", "waiting", "journal"])
def test_fragments_document_their_options(fragment: ModuleType, spec: Mapping[str, Any]) -> None:
    assert set(read(fragment.ModuleDocFragment.DOCUMENTATION)["options"]) == set(spec)


def test_every_variable_of_the_environment_is_named() -> None:
    options = read(connection.ModuleDocFragment.DOCUMENTATION)["options"]
    variables = [(option, name) for option, names in ENVIRONMENT.items() for name in names]
    variables += [pair for source in CREDENTIALS.values() for pair in source.items()]
    for option, name in variables:
        assert f"E({name})" in " ".join(options[option]["description"]), option


@pytest.mark.parametrize("name", NAMES)
def test_examples_use_options_that_there_are(name: str) -> None:
    used = list(tasks_in(read(MODULES[name].EXAMPLES)))
    assert name in {module for module, _options in used}
    for module, options in used:
        unknown = set(options) - set(SPECS[module])
        assert not unknown, (module, unknown)
        for option, value in options.items():
            for inner in value if isinstance(value, list) else []:
                suboptions = SPECS[module][option].get("options")
                assert not suboptions or set(inner) <= set(suboptions), option


def tasks_in(documents: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for item in documents:
        yield from tasks_in(item.get("tasks", []))
        for key, value in item.items():
            if key.startswith("hwcloud.recovery."):
                yield key.rpartition(".")[2], value


def undocumented(result: Mapping[str, Any], documented: Mapping[str, Any], path: str = "") -> list[str]:
    """What is returned and not in RETURN, where that describes the parts."""
    found = []
    for key, value in result.items():
        if key not in documented:
            found.append(path + key)
            continue
        parts = documented[key].get("contains")
        for inner in value if isinstance(value, list) else [value]:
            if parts and isinstance(inner, Mapping):
                found += undocumented(inner, parts, f"{path}{key}.")
    return found


def check(name: str, *results: Mapping[str, Any]) -> None:
    documented = {**read(MODULES[name].RETURN), "failed": {}, "changed": {}}
    for result in results:
        assert not undocumented(result, documented)


def test_results_of_the_single_modules_are_documented(stage: Stage) -> None:
    disk: dict[str, Any] = {"backup_id": backup_id(3), "volume_id": disk_id(3), "run_id": "run-1"}
    vbs, job = MODULES["vbs_disk_restore"], MODULES["restore_job_info"]
    done = stage.run(vbs, **disk)
    check("vbs_disk_restore", stage.run(vbs, **disk, check_mode=True), done, stage.run(vbs, **disk))
    check("restore_job_info", stage.run(job, handle=done["handle"]))
    hss = MODULES["hss_backup_restore"]
    check("hss_backup_restore", stage.run(hss, backup_id=hss_id(2), run_id="run-1"))
    info = MODULES["backup_info"]
    check("backup_info", stage.run(info, service="vbs"), stage.run(info, service="hss", backup_id=hss_id(2)))


def test_results_of_plan_and_run_are_documented(stage: Stage) -> None:
    plan = stage.world.plan([ARCHIVE, FILES])
    check("recovery_plan", {"plan": plan.as_dict(), "problems": [p.as_dict() for p in plan.problems], "ready": True})
    check("recovery_run", stage.world.recover([ARCHIVE, FILES]), stage.world.recover([ARCHIVE, FILES]))
