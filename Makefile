# The front door: `make help`.

GO     ?= go
LAB     = $(GO) run ./cmd/lab
BUILD   = $(GO) build -ldflags '-s -w'
SOURCES = cmd controller events examples kustomize manifests migrations
LINT    = honnef.co/go/tools/cmd/staticcheck@v0.7.0
NATSCLI = github.com/nats-io/natscli/nats@v0.5.1

# A module of its own, so that what other migration tools depend on stays out of this one.
PEERS = migrations/peers

# One set of build flags for everything but the race detector, so that each dependency is compiled once.
export CGO_ENABLED = 0
export GOFLAGS     = -trimpath -buildvcs=false

.DEFAULT_GOAL := help
.PHONY: help demo demo-down build test e2e e2e-matrix e2e-npm lint bench bench-engine clean deps

help: ## what this Makefile can do
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: deps build ## the main job on real parts: Kubernetes, Argo CD, PostgreSQL, NATS, git (KEEP=1 leaves it running)
ifdef KUBECONFIG
	@bin/demo
else ifdef KEEP
	@$(LAB) status >/dev/null 2>&1 || $(LAB) up >/dev/null # what it prints holds the database's password
	@$(LAB) exec -- bin/demo
	@sed -n '/^## Look around/,$$p' docs/demo.md | sed '1d'
else
	@$(LAB) run -- bin/demo
endif

demo-down: ## end what `KEEP=1 make demo` left running
	@$(LAB) down

build: ## the binaries, into bin/
	@echo "building Schemawave (about two minutes the first time)"
	@mkdir -p bin
	@$(BUILD) -o bin/ ./cmd/schemawave ./cmd/schemawave-runner ./cmd/lab/demo
	@$(BUILD) -o bin/example-shop ./examples/shop/service

test: deps ## unit and integration tests: real PostgreSQL, real NATS, a real Kubernetes API server
	@$(LAB) run --control-plane -- env CGO_ENABLED=1 $(GO) test -race -timeout 30m -skip FromNPM $$($(GO) list ./... | grep -v /cmd/lab/e2e)
	@cd $(PEERS) && $(GO) test ./...

e2e: deps build ## the demo's story as tests, on a real Kubernetes with a real Argo CD (ARGOCD=2.14)
	@$(LAB) run --argocd $(or $(ARGOCD),2.14) --second-cluster --sync-wave-delay 0s -- $(GO) test -count 1 -timeout 25m -v -skip FromNPM ./cmd/lab/e2e

e2e-matrix: ## the same on every Argo CD that a lab has
	@$(MAKE) --no-print-directory e2e ARGOCD=2.14
	@$(MAKE) --no-print-directory e2e ARGOCD=3.5

e2e-npm: deps build ## the same for what npm installs from its registry: Knex, Liquibase, a client of NATS (nothing else here needs that)
	@apps=$$(mktemp -d) && trap 'rm -rf "$$apps"' EXIT && \
	for tool in knex liquibase; do \
		cp -R examples/$$tool/app "$$apps/$$tool" && \
		npm ci --prefix "$$apps/$$tool" --ignore-scripts --no-audit --no-fund || { echo "$$tool was not installed: this needs npm's registry" >&2; exit 1; }; \
	done && \
	cp -R examples/waiting "$$apps/waiting" && \
	npm ci --prefix "$$apps/waiting" --ignore-scripts --no-audit --no-fund && \
	GOBIN="$$apps/bin" $(GO) install $(NATSCLI) && \
	NPM_INSTALLED="$$apps" $(GO) test -count 1 -v -run FromNPM ./examples/waiting && \
	NPM_INSTALLED="$$apps" $(LAB) run --sync-wave-delay 0s -- $(GO) test -count 1 -timeout 25m -v -run FromNPM ./cmd/lab/e2e

lint: ## gofmt, go vet, staticcheck
	@test -z "$$(gofmt -l $(SOURCES))" || { gofmt -d $(SOURCES); exit 1; }
	@$(GO) vet ./...
	@$(GO) run $(LINT) ./...
	@cd $(PEERS) && $(GO) vet ./... && $(GO) run $(LINT) ./...

bench: deps build ## benchmarks, each beside a floor or a peer, and the way from a push to a ready schema
	@$(LAB) run --control-plane -- $(GO) test -run '^$$' -bench . -skip Notifications -benchmem ./migrations/... ./events/... ./kustomize/... ./controller/...
	@$(LAB) run -- $(GO) test -run '^$$' -bench Notifications -benchtime 1x ./controller
	@$(LAB) run -- $(GO) test -run '^$$' -bench PushToReady -benchtime 10x ./cmd/lab/e2e

bench-engine: deps ## the migration engine beside other tools and floors, near and 5 ms away (half an hour; ROUNDS=5)
	@cd $(PEERS) && $(GO) run ./bench -rounds $(or $(ROUNDS),5)

# What is needed beyond what a lab installs for itself: for the story other teams' tools; for the tests a server, a pooler, a C
# compiler for the race detector, and what reads JSON in a shell.
demo: PACKAGES = git curl
e2e: PACKAGES = git curl php-cli php-pgsql php-mbstring php-xml php-laravel-framework python3-django python3-alembic python3-psycopg2
e2e-npm: PACKAGES = git curl jq nodejs $(if $(wildcard /usr/bin/npm),,npm) default-jre-headless
test bench: PACKAGES = postgresql pgbouncer git gcc libc6-dev jq
bench-engine: PACKAGES = postgresql
deps:
	@missing=; for p in $(PACKAGES); do dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; done; \
	test -z "$$missing" || { echo "installing$$missing"; apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$missing >/dev/null; }

clean: ## remove what was built here
	@rm -rf bin
