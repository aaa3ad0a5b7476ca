# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Needs Python 3.11 to 3.14, git and make. Everything else goes into .venv and .cache of this checkout.

.PHONY: help setup check test demo ruff mypy unit yamllint lint changelog artifact integration molecule sanity clean

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

check: ruff mypy unit  ## the quick checks, for every save

test: ruff mypy yamllint changelog unit lint artifact integration molecule sanity  ## everything that CI runs, cheap first

demo: setup  ## rehearse a recovery against the simulator
	@tests/tools/demo

ruff: setup  ## Python style and likely bugs
	ruff check .

mypy: setup  ## types
	mypy $(COLLECTION)/plugins tests/simulator tests/tools

unit: setup  ## unit tests, without a network
	python -m pytest tests/unit

yamllint: setup  ## YAML style
	yamllint --strict .

changelog: setup  ## changelog fragments
	antsibull-changelog lint

lint: setup  ## ansible-lint, profile production
	ansible-lint --offline --strict --nocolor

artifact: setup  ## build the collection, install it elsewhere, read its documentation from there
	tests/tools/artifact

integration: setup  ## playbooks against the simulator
	python -m pytest tests/integration

molecule: setup  ## the role against the simulator, twice (idempotence)
	molecule test --all

sanity: setup  ## ansible-test sanity
	tests/tools/sanity

clean:  ## remove everything that make has made
	rm -rf .venv .cache reports/demo-*
