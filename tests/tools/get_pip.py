# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stand-in for the get-pip.py that ansible-test downloads, for places where only the package index can be reached.

ansible-test calls it inside an empty virtual environment with requirements and options of `pip install`.
The pip that comes with Python (ensurepip) installs what is asked for.
"""

from __future__ import annotations

import os
import subprocess
import sys

# Options of get-pip.py itself, which `pip install` does not know.
GET_PIP_OPTIONS = {"--no-setuptools", "--no-wheel"}

# ansible-test's wrapper of pip runs the file that GET_PIP names: the calls below would run this file again.
environment = {name: value for name, value in os.environ.items() if name != "GET_PIP"}
arguments = [argument for argument in sys.argv[1:] if argument not in GET_PIP_OPTIONS]

for command in (["ensurepip", "--upgrade", "--default-pip"], ["pip", "install", "--quiet", *arguments]):
    subprocess.run([sys.executable, "-m", *command], env=environment, stdout=subprocess.DEVNULL, check=True)
