# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: ``python -m simulator --scenario demo.yml --scale 60 --ready-file FILE``."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

from simulator.scenario import ScenarioError, load
from simulator.server import Options, run


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="simulator", description="A strict cloud to rehearse restores on.")
    parser.add_argument("--scenario", default="demo.yml", help="a file, or a name in the folder scenarios")
    parser.add_argument("--scale", type=float, default=1.0, help="simulated seconds that pass in one second")
    parser.add_argument("--seed", type=int, default=0, help="of the ids that are made up")
    parser.add_argument("--ready-file", type=Path, help="written as JSON once all ports listen")
    parser.add_argument("--port-base", type=int, default=0, help="first of six ports in a row; 0 = any free ones")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--tls-cert", default="", help="PEM file: the services speak TLS")
    parser.add_argument("--tls-key", default="")
    parser.add_argument("--prefix", default="", help="path prefix of all services, such as /gw")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds that every answer comes later")
    parser.add_argument("--log", type=Path, help="one JSON line per request is appended here")
    return parser


def main() -> int:
    arguments = _parser().parse_args()
    try:
        scenario = load(arguments.scenario)
        if arguments.scale <= 0:
            raise ScenarioError("--scale must be greater than 0")
        if not 0 <= arguments.latency < math.inf:
            raise ScenarioError("--latency must be a number of seconds, 0 or more")
        if arguments.prefix and not arguments.prefix.startswith("/"):
            raise ScenarioError("--prefix must begin with a slash")
    except ScenarioError as error:
        print(f"simulator: {error}", file=sys.stderr)
        return 2
    run(
        Options(
            scenario,
            ready_file=arguments.ready_file,
            scale=arguments.scale,
            seed=arguments.seed,
            host=arguments.host,
            port_base=arguments.port_base,
            tls_cert=arguments.tls_cert,
            tls_key=arguments.tls_key,
            prefix=arguments.prefix,
            log_file=arguments.log,
            latency_seconds=arguments.latency,
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
