# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Needs Python 3.11 to 3.14, git and make. Everything else goes into .venv and .cache of this checkout.

.PHONY: help setup check test demo ruff mypy unit yamllint lint changelog artifact integration molecule sanity bench simulation soak mutants clean

help:  ## this list (default)
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 14

# Plugins are imported as ansible_collections.hwcloud.recovery: a link in .cache gives the checkout that name.
LINK := $(CURDIR)/.cache/link
COLLECTION := .cache/link/ansible_collections/hwcloud/recovery

# Tools call each other by name (ansible-doc, ansible-galaxy, ...), so .venv comes first on PATH.
SHELL := /bin/bash
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export ANSIBLE_COLLECTIONS_PATH := $(LINK)
# Nothing is written to ~/.ansible, nothing is read from ~/.ansible.cfg.
export ANSIBLE_CONFIG := $(CURDIR)/.cache/ansible.cfg
export ANSIBLE_HOME := $(CURDIR)/.cache/ansible
export ANSIBLE_REMOTE_TEMP := $(ANSIBLE_HOME)/tmp
export PYTHONDONTWRITEBYTECODE := 1

setup:  ## make or update .venv and .cache
	@tests/tools/venv
	@mkdir -p $(dir $(COLLECTION))
	@ln -sfn "$(CURDIR)" $(COLLECTION)
	@: >.cache/ansible.cfg

# What takes longest among the unit tests, and what no save is likely to break alone.
SLOWER = faults simulation benchmarks

check: ruff mypy  ## the quick checks, for every save
	python -m pytest tests/unit $(SLOWER:%=--ignore=tests/unit/%) -n 2 -q

test: ruff mypy yamllint changelog unit simulation lint audit artifact integration crash secrets molecule sanity  ## everything that CI runs, cheap first

demo: setup  ## rehearse a recovery against the simulator
	@tests/tools/demo

ruff: setup  ## Python style and likely bugs
	ruff check .

mypy: setup  ## types
	mypy $(COLLECTION)/plugins tests/simulator tests/tools

unit: setup  ## unit tests, without a network
	python -m pytest tests/unit -n 2 -q

yamllint: setup  ## YAML style
	yamllint --strict .

changelog: setup  ## changelog fragments
	antsibull-changelog lint

lint: setup  ## ansible-lint, profile production
	ansible-lint --offline --strict --nocolor

artifact: setup  ## build the collection, install it elsewhere, read its documentation from there
	tests/tools/artifact

# Four at a time, on two cores, too: half of its time a playbook waits for what it has ordered. Some wait for minutes, so
# a worker that has nothing left takes over tests of another one.
PLAYBOOKS = python -m pytest -n 4 --dist worksteal -v

integration: setup  ## playbooks against the simulator
	$(PLAYBOOKS) tests/integration

molecule: setup  ## the role against the simulator, twice (idempotence)
	molecule test --all

.PHONY: crash kill secrets audit

crash: setup  ## SIGKILL at one call of each kind, Ctrl-C and SIGTERM, then the same command again
	$(PLAYBOOKS) tests/kill/test_each_kind.py tests/kill/test_signals.py

kill: setup  ## SIGKILL at every single call; takes half an hour
	$(PLAYBOOKS) tests/kill/test_every_call.py

secrets: setup  ## every playbook and module at -vvvv, then grep for every secret
	$(PLAYBOOKS) tests/secrecy

audit: setup  ## bandit, and known vulnerabilities of what users install; STRICT=1 fails where nobody can be asked
	bandit --quiet --configfile tests/tools/bandit.yml --recursive plugins
	STRICT=$(STRICT) python tests/tools/audit.py

sanity: setup  ## ansible-test sanity
	tests/tools/sanity

# LINK=<other checkout>/.cache/link measures that one's plugins with these benchmarks.
bench: setup  ## benchmarks: ONLY="virtual realtime startup", QUICK=1 for small ones
	@PYTHONPATH="$(LINK):tests" python -m benchmarks $(if $(ONLY),--only $(ONLY)) $(if $(QUICK),--quick)

# Recoveries by seed, in virtual time. LINK=<other checkout>/.cache/link plays that one's plugins.
SOAK = PYTHONPATH="$(LINK):tests" python -m simulation.soak
SEEDS ?= 100000

simulation: setup  ## 2,000 recoveries by seed against the simulator, each with its own faults and crashes
	@$(SOAK) --seeds 2000

soak: setup  ## the same for SEEDS=100000, from FIRST=0 on; SEED=7 shows one, call by call
	@$(SOAK) $(if $(SEED),--seed $(SEED),--seeds $(SEEDS) $(if $(FIRST),--first $(FIRST)))

mutants: setup  ## break the code on purpose: each named mutation has to be noticed; ONLY=name for one
	@PYTHONPATH="$(LINK):tests" python -m simulation.mutants $(ONLY)

clean:  ## remove everything that make has made
	rm -rf .venv .cache reports/demo-* reports/benchmarks
