# What people type here: make demo, make test. Everything else is what those two need.

SWIFT ?= swift
ARGS ?=
# Tests that start servers of their own are many: more of them at once than this only wait for each other.
TEST_WORKERS ?= 4
CHAOS_SECONDS ?= 300

.DEFAULT_GOAL := help
.PHONY: help setup build demo examples bench test chaos lint format benchmarks

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup: ## get what this machine lacks: libpq, PostgreSQL 18
	@scripts/setup

build: setup ## compile everything
	$(SWIFT) build

demo: setup ## run the order system on a PostgreSQL of its own; ARGS=--forever keeps it going
	@$(SWIFT) build --product millrace
	@"$$($(SWIFT) build --show-bin-path)/millrace" demo $(ARGS)

examples: setup ## the programs of Examples, each on a PostgreSQL of its own; each checks its own result
	@for example in Orders Bank; do \
		$(SWIFT) build --product $$example && "$$($(SWIFT) build --show-bin-path)/$$example" || exit 1; \
	done

bench: setup ## what PostgreSQL does here without Millrace and with it; ARGS="--only append --svg latency.svg"
	@$(SWIFT) build -c release --product millrace
	@"$$($(SWIFT) build -c release --show-bin-path)/millrace" bench $(ARGS)

test: setup ## all tests, on a real PostgreSQL that they start themselves
	$(SWIFT) test --parallel --num-workers $(TEST_WORKERS)

chaos: setup ## handlers whose workers, connections and PostgreSQL are killed and stopped; CHAOS_SECONDS=3600 goes on for longer
	MILLRACE_SOAK_SECONDS=$(CHAOS_SECONDS) $(SWIFT) test --filter HandlersLoseNothingTests

benchmarks: setup ## allocations and instructions an event against Benchmarks/thresholds.json; ARGS=--update rewrites it
	$(SWIFT) build -c release --package-path Benchmarks --scratch-path .build/benchmarks
	@"$$($(SWIFT) build -c release --package-path Benchmarks --scratch-path .build/benchmarks --show-bin-path)/Benchmarks" \
		--thresholds Benchmarks/thresholds.json $(ARGS)

lint: ## what CI holds against a change
	$(SWIFT) format lint --strict --recursive --parallel Package.swift Sources Tests Examples Benchmarks/Package.swift Benchmarks/Sources
	@if command -v shellcheck >/dev/null 2>&1; then shellcheck scripts/setup .ci/run; fi

format: ## put the source into its form
	$(SWIFT) format --in-place --recursive --parallel Package.swift Sources Tests Examples Benchmarks/Package.swift Benchmarks/Sources
