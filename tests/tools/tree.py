# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copy the checkout to TREE/ansible_collections/hwcloud/recovery, with changes that are not committed yet.

ansible-test works only in a real folder of that name: it looks through symbolic links.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
LIST_FILES = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]


def copy_checkout(target: Path) -> None:
    names = subprocess.run(LIST_FILES, cwd=CHECKOUT, check=True, stdout=subprocess.PIPE).stdout.decode().split("\0")
    shutil.rmtree(target, ignore_errors=True)
    for name in filter(None, names):
        source = CHECKOUT / name
        if source.is_file():  # a file that was deleted, but not yet in the index, is still listed
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name, follow_symlinks=False)
    # ansible-test asks git for the files. Without a repository of its own it would ask that of the checkout,
    # which ignores the folder of the copy.
    subprocess.run(["git", "init", "--quiet", str(target)], check=True)


if __name__ == "__main__":
    copy_checkout(Path(sys.argv[1]).resolve() / "ansible_collections" / "hwcloud" / "recovery")
