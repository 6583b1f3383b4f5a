# Two commands do everything: make run, make test. The others are parts of them, or for operators.
SHELL := /bin/bash
.DEFAULT_GOAL := help
ARGS ?=
DIST ?= dist
ARCH ?= amd64

.PHONY: help run test check unit conformance bench fuzz package check-infra deploy plan replay screenshots verify-log export import

help: ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

run: ## the whole pipeline on this machine, with a demo organisation (ARGS="-once -json -data ''")
	@CGO_ENABLED=0 go run -trimpath -buildvcs=false ./infra/local $(ARGS)

test: ## everything that CI runs
	@bash .ci/test

check: ## the fast part of test: format, vet, staticcheck, floors, unit tests
	@bash .ci/check

unit: ## unit tests alone
	@go test ./...

conformance: ## the Azure SDKs' own live tests against the local Service Bus and Cosmos DB
	@cd infra/local/conformance && go run .

bench: ## benchmarks, as ratios
	@go test -run '^$$' -bench . -benchtime 1s ./...
	@go run ./infra/local/bench $(ARGS)

fuzz: ## every fuzz target, one after the other (TIME=60s PACKAGES=./infra/local/servicebus/...)
	@TIME=$(TIME) bash .ci/fuzz $(or $(PACKAGES),./...)

package: ## dist/ as the Functions host wants it, and dist.zip (ARCH=arm64 DIST=dist-arm64 for other hosts)
	@CGO_ENABLED=0 go run -trimpath -buildvcs=false ./infra/local -package $(DIST) -arch $(ARCH)

check-infra: ## the Bicep templates against Azure's type data, without a network (needs a C compiler)
	@cd infra/bicepcheck && go test ./... && go run . ..

deploy: package ## what-if, confirm, deploy, push, smoke check (ARGS="--parameters FILE --location REGION")
	@bash infra/deploy.sh $(ARGS)

plan: ## what a policy would change, asked of the running app (POLICY=policy.yaml)
	@go run ./functions plan $(ARGS) $(POLICY)

replay: ## send parked and dead-lettered messages of the running app again (ARGS="-url https://HOST -token FILE")
	@go run ./functions replay $(ARGS)

export: ## graph, worklist and state into a new file (FILE=graph.ndjson), from make run or the store of CosmosConnection
	@go run ./functions export $(FILE)

import: ## an export into an empty database (FILE=graph.ndjson ARGS=-replace)
	@go run ./functions import $(ARGS) $(FILE)

verify-log: ## whether the decision logs are as they were written, asked of the running app (ARGS="owner/name ...")
	@go run ./functions verify-log $(ARGS)

screenshots: ## PNGs of every page into an existing folder (SCREENSHOTS=dir), with chromium
	@go test -count=1 -run TestScreenshots ./functions/dashboard
