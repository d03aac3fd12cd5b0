# The verbs of the checkout. Everything they install or write stays in folders of the checkout.
PYTHON := .venv/bin/python
F ?=
S ?=
E ?= events/$(F).json

.DEFAULT_GOAL := help
.PHONY: help install up down merchant verify test faults fuzz check bench invoke assets

help: ## show this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 18

install:
	@sh local/install.sh >&2

up: install ## install, build, deploy to the local AWS emulator, and take a first payment
	@$(PYTHON) -m local.up

down: ## stop what `make up` started
	@if [ -x $(PYTHON) ]; then $(PYTHON) -m local.down; fi

merchant: install ## print the keys of a new merchant on the local platform, as one line of JSON
	@$(PYTHON) -m local.merchant

verify: install ## export the evidence of the running platform, and verify it as an outsider would
	@$(PYTHON) -m local.verify_running

test: install ## run every test; the end-to-end ones get a platform of their own
	@$(PYTHON) -m local.run_tests

faults: install ## break a payment everywhere, in pairs, and 10,000 crowds of them; S=7 replays a seed
	@$(PYTHON) -m tests.fault.run $(if $(S),--seed $(S))

fuzz: install ## ten minutes of schemathesis over the published interface; S=7 replays a seed
	@$(PYTHON) -m tests.fuzz.run $(if $(S),--seed $(S))

check: install ## format, lint, types, layers, templates: under a minute
	@$(PYTHON) -m local.check

bench: install ## measure: calls, throughput and latency, cold start
	@$(PYTHON) -m bench

invoke: install ## run one function on one event: make invoke F=api_payments E=events/api_payments.json
	@$(PYTHON) -m local.invoke "$(F)" "$(E)"

assets: install ## build the Lambda assets for AWS (arm64, Python 3.13)
	@$(PYTHON) -m local.build --target aws
