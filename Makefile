.DEFAULT_GOAL := help
.PHONY: help demo test bench lint format setup clean

help: ## Show this help
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: ## Serve a real model on this machine for a minute, and see what it cost
	@scripts/setup.sh demo
	@.venv/bin/mark demo

test: ## The one check: lint, types, unit, property, contract and integration tests, sanitizers
	@scripts/setup.sh all,dev
	@scripts/check.sh

bench: ## Measure: dispatcher, gRPC server against a bare echo, latency of the router, idle CPU
	@scripts/setup.sh all,dev
	@.venv/bin/pytest -q bench

lint: ## The quick part of the check
	@scripts/setup.sh all,dev
	@.venv/bin/ruff check && .venv/bin/ruff format --check && .venv/bin/mypy

format: ## Format everything
	@scripts/setup.sh all,dev
	@.venv/bin/ruff check --fix -q; .venv/bin/ruff format -q; find csrc -name '*.cc' -o -name '*.h' | xargs .venv/bin/clang-format -i

setup: ## Set up for development
	@scripts/setup.sh all,dev

clean: ## Remove builds and the virtual environment
	rm -rf build .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
