# Two commands matter: `make up` runs a cluster here, `make test` runs every test.
# Node 26 comes from node_modules; the machine's own Node only has to run npm.

SHELL := /bin/bash
BIN := $(CURDIR)/node_modules/.bin
export PATH := $(BIN):$(PATH)
NODE := $(BIN)/node
VITEST := $(BIN)/vitest run --project

SOURCES := $(shell find src scripts/build.ts scripts/generate-protocol* tsconfig.json tsconfig.build.json package-lock.json \
	-type f -not -path 'src/protocol/generated/*')

.PHONY: up test install build check lint unit sim mutants jepsen history compat compat-chaos cluster trials failover crash pack-test bench coordinator compaction endurance clean

# Three brokers, each a process; ARGS='--brokers 1' for one, and any other flag of `odradek up`.
up: build
	@exec $(NODE) dist/cli/main.js up $(if $(findstring --brokers,$(ARGS)),,--brokers 3 --racks a,b,c) $(ARGS)

test: install
	@$(NODE) scripts/test.ts

install:
	@scripts/install.sh

build: install
	@$(MAKE) --silent dist/package.json

dist/package.json: $(SOURCES)
	@echo 'building dist'
	@$(NODE) scripts/build.ts

check: install
	$(NODE) scripts/generate-protocol.ts
	$(BIN)/biome check .
	$(BIN)/tsc --noEmit

unit: install
	$(VITEST) unit --project sim

# Whole clusters under faults, SEEDS of them FROM a seed on or for BUDGET_S seconds, LONG=1 for HOURS (8); SEED=n replays one, readably,
# and HISTORY=FILE writes down what its clients did and were told.
sim: install
	@$(NODE) scripts/sim.ts

# How many seeds it takes to find each fault that is planted on purpose.
mutants: install
	@$(NODE) scripts/mutants.ts

# Six nodes, each on a network of its own, one fault after the other, and a checker of all that clients saw; FAULT=kill,pause and
# WORKLOAD=queue choose, SEED=n draws the same schedule, LONG=1 goes on for HOURS (8), MARKDOWN=FILE for the table.
jepsen: build
	@$(NODE) jepsen-like/main.ts

# How long the checker of histories takes for a model of OPERATIONS (a million), and what memory.
history: install
	@mkdir -p .work
	@$(NODE) jepsen-like/history/model/main.ts .work/model.jsonl $(or $(OPERATIONS),1000000)
	@$(NODE) jepsen-like/history/main.ts .work/model.jsonl

# Every real client against the built node; ODRADEK_COMPAT_BOOTSTRAP=host:port runs them against any broker instead.
compat: build
	$(VITEST) compat

# Real clients while brokers are killed, for DURATION_S (120) seconds: nothing acknowledged lost, nothing copied twice, every group goes on.
compat-chaos: build
	@$(NODE) jepsen-like/clients/main.ts

# Three and more processes of the built node: registration, elections, kills, wiped disks, wrong configurations.
cluster: build
	$(VITEST) cluster

# How long failovers and starts take, as a table; TRIALS=5 for a quick look.
trials: build
	$(NODE) jepsen-like/quorum-trials.ts

# For how long producers get no acknowledgement when nodes fail, beside Apache Kafka; TRIALS=3 for a quick look, KIND=leader,drop,
# SYSTEM=odradek, MARKDOWN=FILE for the table.
failover: build
	@$(NODE) bench/failover/main.ts

# Three nodes under full load for MINUTES (10), then stalled consumers and a flood of requests: what moves, and what it takes in memory.
endurance: build
	@$(NODE) bench/endurance.ts

# ROUNDS is the number of kills (default 10).
crash: build
	$(VITEST) crash

pack-test: build
	$(VITEST) pack

# Beside Apache Kafka, in alternation; ROUNDS=1 for a quick look, MARKDOWN=FILE for the report.
bench: build
	$(NODE) bench/main.ts

# What groups and transactions cost, beside Apache Kafka; TRIALS=3 for a quick look, MARKDOWN=FILE for the table.
coordinator: build
	@$(NODE) bench/coordinator/main.ts

# How fast a topic is compacted, beside Apache Kafka; ROUNDS=1 for a quick look, MARKDOWN=FILE for the table.
compaction: build
	@$(NODE) bench/compaction.ts

clean:
	rm -rf dist .work odradek-data
