# The day's verbs. "make help" lists them; CI runs the same ones (.ci/run).
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

BIN   := .cache/bin
LINT  := $(BIN)/golangci-lint
VULN  := $(BIN)/govulncheck
# Where govulncheck reads its database; empty: the public one. file://DIR for a copy.
VULNDB ?=
GOFILES := $(shell find . -name '*.go' -not -path './.cache/*' -not -path '*/node_modules/*' 2>/dev/null) go.mod go.sum
ASSETS  := $(shell find web cmd store deploy sandbox -type f -not -name '*.go' 2>/dev/null)

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

bin/voussoir: $(GOFILES) $(ASSETS)
	@mkdir -p bin
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o $@ ./cmd/voussoir

.PHONY: build
build: bin/voussoir ## build the one binary, static

.PHONY: signer
signer: ## build bin/voussoir-signer, which holds keys in a PKCS #11 token (needs a C compiler)
	@mkdir -p bin
	CGO_ENABLED=1 go build -C cmd/voussoir-signer -trimpath -ldflags '-s -w' -o $(CURDIR)/bin/voussoir-signer .

.PHONY: signer-test
signer-test: $(LINT) $(VULN) ## vet, lint, vulnerabilities and tests of the signer's module; skipped without a C compiler
	@command -v gcc >/dev/null || { [ -z "$${CI:-}" ] && echo "skipped: no C compiler (gcc)" && exit 0; exit 1; }; \
	export CGO_ENABLED=1; cd cmd/voussoir-signer && go vet ./... && $(CURDIR)/$(LINT) run && \
	$(CURDIR)/$(VULN) $(if $(VULNDB),-db $(VULNDB)) ./... && go test -race ./...

.PHONY: demo
demo: bin/voussoir ## build and run the whole demo world on this machine (Ctrl-C ends it)
	@exec bin/voussoir demo $(if $(PORT),--port $(PORT)) $(if $(DATA),--data $(DATA))

.PHONY: check
check: vet lint unit ## the fast inner loop: vet, lint, unit tests with the race detector

.PHONY: vet
vet: ## go vet
	go vet ./...

.PHONY: lint
lint: $(LINT) ## golangci-lint, as .golangci.yml says
	$(LINT) run

.PHONY: unit
unit: ## unit tests with the race detector
	go test -race -short ./...

.PHONY: vuln
vuln: $(VULN) ## known vulnerabilities in what we really call (VULNDB=file://DIR for a copy of the database)
	$(VULN) $(if $(VULNDB),-db $(VULNDB)) ./...

.PHONY: test
test: ## everything: check, vulnerabilities, other people's clients and providers, browsers, crashes
	scripts/test

.PHONY: fuzz
fuzz: ## every fuzz target, 30 s each (FUZZTIME=10m for longer)
	scripts/fuzz $(or $(FUZZTIME),30s)

.PHONY: bench
bench: bin/voussoir ## logins per CPU-second of the broker, added latency, memory (KIND=jwt or fapi2 for harder ones)
	go run ./bench run --broker-bin bin/voussoir --runs $(or $(RUNS),5) --kind $(or $(KIND),basic)

.PHONY: bench-broken
bench-broken: bin/voussoir ## what three broken providers do to logins at a fourth: p50, p95, p99 with and without (RUNS=5)
	go run ./bench run --broker-bin bin/voussoir --broken --runs $(or $(RUNS),5) --logins 2000

.PHONY: profile
profile: ## where the broker's CPU goes during logins (a binary of its own: bin/voussoir has no profiler)
	@mkdir -p .cache
	CGO_ENABLED=0 go build -tags profiling -o .cache/voussoir-profiling ./cmd/voussoir
	VOUSSOIR_CPU_PROFILE=.cache/cpu.pprof go run ./bench run --broker-bin .cache/voussoir-profiling --open-flows 0
	go tool pprof -top -nodecount 10 .cache/voussoir-profiling .cache/cpu.pprof
	go tool pprof -top -cum -nodecount 40 -focus voussoir-id .cache/voussoir-profiling .cache/cpu.pprof

.PHONY: golden
golden: ## write the golden files anew; review the difference as code
	go test ./provider ./web ./cmd/voussoir/config -update

.PHONY: clean
clean: ## remove what was built
	rm -rf bin .cache

# Tools have a module of their own, so that their dependencies are not ours.
$(LINT): tools/go.mod tools/go.sum
	go -C tools build -o ../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint
$(VULN): tools/go.mod tools/go.sum
	go -C tools build -o ../$@ golang.org/x/vuln/cmd/govulncheck
