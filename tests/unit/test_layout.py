# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The house: who may import whom. A pure core, a thin shell, imports in one direction, one place for each power."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COLLECTION = "ansible_collections.hwcloud.recovery"
UTILS = f"{COLLECTION}.plugins.module_utils"
STDLIB = frozenset(sys.stdlib_module_names)


def sources(folder: str) -> list[str]:
    return sorted(str(path.relative_to(ROOT)) for path in (ROOT / folder).rglob("*.py"))


def imported(name: str, text: str) -> Iterator[str]:
    """Absolute names of what a file imports, wherever in it, also for type checking only.

    `from a import b` counts as `a.b`, for b may be a module.
    """
    here = [*COLLECTION.split("."), *Path(name).with_suffix("").parts]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = here[: -node.level] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def below(name: str, *modules: str) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def of_stdlib(name: str) -> bool:
    return name.partition(".")[0] in STDLIB


Allowed = Callable[[str], bool]

IMPURE = (
    "asyncio", "fcntl", "http", "io", "os", "pathlib", "random", "secrets", "select", "shutil", "signal", "socket",
    "ssl", "subprocess", "tempfile", "threading", "time", "urllib.request", "uuid",
)  # fmt: skip

# Where (path prefix): what a file there may import.
LAYERS: dict[str, Allowed] = {
    "plugins/module_utils/_restore/": lambda name: (
        (of_stdlib(name) and not below(name, *IMPURE)) or below(name, f"{UTILS}._restore")
    ),
    "plugins/module_utils/_cloud/": lambda name: (
        of_stdlib(name)
        or below(name, f"{UTILS}._cloud", f"{UTILS}._restore.model", f"{UTILS}._restore.times", "requests", "urllib3")
    ),
    "plugins/module_utils/_run/": lambda name: (
        of_stdlib(name) or below(name, f"{UTILS}._run", f"{UTILS}._cloud", f"{UTILS}._restore", "ansible")
    ),
    "plugins/modules/": lambda name: of_stdlib(name) or below(name, f"{UTILS}._run", "ansible"),
    "plugins/doc_fragments/": lambda name: False,
    "plugins/action/": lambda name: of_stdlib(name) or below(name, UTILS, "ansible"),
    "plugins/inventory/": lambda name: of_stdlib(name) or below(name, UTILS, "ansible"),
    "tests/simulator/": lambda name: not below(name, COLLECTION, "ansible", "plugins", "requests"),
}

# Modules with a power of their own: where they may be imported.
POWERS: dict[str, tuple[str, ...]] = {
    "requests": ("plugins/module_utils/_cloud/transport.py",),
    "urllib3": ("plugins/module_utils/_cloud/transport.py",),
    "time": ("plugins/module_utils/_run/clock.py",),
    "ansible": (
        "plugins/module_utils/_run/module.py",
        "plugins/modules/",
        "plugins/action/",
        "plugins/inventory/",
    ),
}


def strangers(name: str, text: str) -> list[str]:
    """What a file imports although its layer may not."""
    allowed = next(allowed for prefix, allowed in LAYERS.items() if name.startswith(prefix))
    found = {module for module in imported(name, text) if not below(module, "__future__") and not allowed(module)}
    if name.startswith("plugins/"):
        for power, places in POWERS.items():
            if not name.startswith(places):
                found |= {module for module in imported(name, text) if below(module, power)}
    return sorted(found)


def of_kind(name: str, text: str, kind: type[ast.AST]) -> list[str]:
    return [f"{name}:{getattr(node, 'lineno', 0)}" for node in ast.walk(ast.parse(text)) if isinstance(node, kind)]


def clock_reads(text: str) -> list[str]:
    """Calls like `datetime.now()`: the time is an argument everywhere but in the clock."""
    calls = (node.func for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))
    return [
        ast.unparse(call)
        for call in calls
        if isinstance(call, ast.Attribute)
        and call.attr in ("now", "utcnow", "today")
        and isinstance(call.value, (ast.Name, ast.Attribute))
        and ast.unparse(call.value).rsplit(".", maxsplit=1)[-1] in ("datetime", "date", "time")
    ]


PLUGINS = sources("plugins")
EVERY = [*PLUGINS, *sources("tests/simulator")]


@pytest.mark.parametrize("name", EVERY)
def test_a_file_imports_only_what_its_layer_may(name: str) -> None:
    assert strangers(name, (ROOT / name).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("name", PLUGINS)
def test_no_assert_in_plugins(name: str) -> None:
    """Python drops them with -O, and ansible-test refuses them."""
    assert of_kind(name, (ROOT / name).read_text(encoding="utf-8"), ast.Assert) == []


@pytest.mark.parametrize("name", PLUGINS)
def test_only_the_clock_knows_the_time(name: str) -> None:
    assert clock_reads((ROOT / name).read_text(encoding="utf-8")) == []


def test_no_file_below_module_utils_is_named_like_a_module_of_python() -> None:
    """It would mislead pylint, and people."""
    assert [name for name in sources("plugins/module_utils") if Path(name).stem in STDLIB] == []


def test_every_layer_has_files() -> None:
    """Else a moved folder would make these tests say nothing."""
    optional = {"plugins/inventory/"}
    assert [
        prefix for prefix in LAYERS if prefix not in optional and not any(n.startswith(prefix) for n in EVERY)
    ] == []


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("plugins/module_utils/_restore/x.py", "import time", ["time"]),
        ("plugins/module_utils/_restore/x.py", "from pathlib import Path", ["pathlib.Path"]),
        ("plugins/module_utils/_restore/x.py", "from .._cloud import evs", [f"{UTILS}._cloud.evs"]),
        ("plugins/module_utils/_restore/x.py", "from .model import Disk", []),
        ("plugins/module_utils/_restore/x.py", "import yaml", ["yaml"]),
        ("plugins/module_utils/_cloud/x.py", "from .._restore.model import Disk", []),
        ("plugins/module_utils/_cloud/x.py", "from .._restore import mark", [f"{UTILS}._restore.mark"]),
        ("plugins/module_utils/_cloud/x.py", "def f():\n    import requests", ["requests"]),
        ("plugins/module_utils/_cloud/transport.py", "import requests\nfrom urllib3 import util", []),
        ("plugins/module_utils/_run/x.py", "import ansible.errors", ["ansible.errors"]),
        ("plugins/module_utils/_run/x.py", "from time import sleep", ["time.sleep"]),
        ("plugins/module_utils/_run/clock.py", "import time", []),
        ("plugins/modules/x.py", "from ..module_utils._cloud import evs", [f"{UTILS}._cloud.evs"]),
        ("plugins/modules/x.py", "from ..module_utils._run.module import run", []),
        ("tests/simulator/x.py", f"from {UTILS} import _cloud", [f"{UTILS}._cloud"]),
        ("tests/simulator/x.py", "import time", []),
    ],
)
def test_the_check_of_imports_sees(name: str, text: str, found: list[str]) -> None:
    assert strangers(name, text) == found


def test_the_other_checks_see() -> None:
    assert of_kind("x.py", "def f():\n    assert 1", ast.Assert) == ["x.py:2"]
    assert clock_reads("datetime.now(tz)\ndatetime.datetime.utcnow()\nself._clock.now()\ntime.strftime('')") == [
        "datetime.now",
        "datetime.datetime.utcnow",
    ]
