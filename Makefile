# Every command of the project. `make help` lists them.
SHELL := /bin/sh
ARCH := $(shell uname -m | sed -e s/x86_64/x64/ -e s/aarch64/arm64/)
NODE_BIN := $(CURDIR)/node_modules/node-linux-$(ARCH)/bin
export PATH := $(NODE_BIN):$(CURDIR)/node_modules/.bin:$(PATH)
INSTALLED := node_modules/.weir-installed

.DEFAULT_GOAL := help
.PHONY: help setup run test check format lab bench bench-rules bench-control package golden ui clean

help: ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-13s %s\n", $$1, $$2 }'

$(INSTALLED): package.json package-lock.json
	@npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@sh cli/run/preflight.sh "$(NODE_BIN)/node"
	@touch $@

ui/dist/index.html: $(INSTALLED) $(shell find ui model -type f -not -path 'ui/dist/*' 2>/dev/null)
	@vite build ui --logLevel warn

setup: $(INSTALLED) ui/dist/index.html ## Install the packages and build the dashboard

ui: ui/dist/index.html ## Build the dashboard

run: setup ## Start a controller, one engine and a demo service in the foreground
	@exec node cli/run/run.ts

test: setup ## Run every test that this machine can run
	@node test/run.ts

check: $(INSTALLED) ## Format, lint, types and architecture rules
	@oxfmt --check
	@oxlint --type-aware
	@tsc -p .
	@tsc -p ui
	@node test/run.ts arch

format: $(INSTALLED) ## Format the source in place
	@oxfmt

lab: setup ## Run the tests on real hosts: namespaces, systemd, containers (root)
	@node test/run.ts lab

bench: setup ## Measure the data plane against the peers that this machine has
	@node test/bench/bench.ts

bench-rules: setup ## Measure matching with 10,000 rules and 100,000 addresses
	@node test/bench/rules.ts

bench-control: setup ## Measure the control plane with up to 10,000 virtual services
	@node test/bench/control.ts

golden: $(INSTALLED) ## Rewrite the golden files; review the diff like code
	@WEIR_GOLDEN=write node test/run.ts golden

package: setup ## Build what engines and controllers are installed from into dist/
	@node agent-installers/package.ts
	@node agent-installers/controller-package.ts

clean: ## Remove what was built and installed (keeps data)
	@rm -rf dist ui/dist .tap node_modules
